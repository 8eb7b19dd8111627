"""What figures and claims of circuits compute."""
