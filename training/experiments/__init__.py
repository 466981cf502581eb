"""Experiments that are recipes: one TOML a question, which may be several runs; see `__main__.py`."""
