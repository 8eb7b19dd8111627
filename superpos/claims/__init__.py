"""Claims about the experiments: read from YAML, measured on trained models, judged beside a
negative control.
"""
