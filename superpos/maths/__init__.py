"""Mathematics that several kinds of models share. No files, no clocks, no prints."""
