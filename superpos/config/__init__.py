"""Configuration: `schema` and `rules` say what is valid, `axes` expands swept values, `compose` reads YAML."""
