"""Experiments as recipes: one TOML file per question, with one or more runs; see `__main__.py`."""
