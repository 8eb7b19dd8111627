"""From a command line and YAML files to a checked sweep. Hydra lives here."""
