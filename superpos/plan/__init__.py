"""What is trained: the table of models of a sweep, cut into chunks and shards."""
