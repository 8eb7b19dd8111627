"""What runs show of themselves in notebooks: methods of every run, which `superpos/__init__.py` names."""
