"""What claims about circuits measure."""
