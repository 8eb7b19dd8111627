"""What runs show of themselves in notebooks: methods that `superpos/__init__.py` gives every
run.
"""
