"""What figures, measures and the page compute of dictionaries, without matplotlib."""
