"""What commands print: tables, progress, findings, status."""
