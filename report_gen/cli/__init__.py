"""The command line `report-gen`: each command parses its options, calls the library, prints, and sets the exit code.

Modules of this package import at most Typer and light records, so that `--help` starts fast. Handlers import the rest.
"""
