"""Benchmarks of training, each runnable as a module: `python -m report_gen_training.benchmarks.NAME --help`."""
