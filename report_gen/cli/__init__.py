"""The command line `report-gen`: each command parses its options, calls the library, prints, and sets the exit code.

Modules of this package import at most Typer and light records, so that `--help` starts fast. Handlers import the rest.
"""

import os
import signal
import sys


def main() -> None:
    """Run the console script `report-gen`.

    While the command line is loaded, Ctrl-C ends the process like a program in C: at once, with exit code 130 and
    without a traceback. Afterwards `run_app` handles it.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from report_gen.cli import app

    app.main()


def run() -> None:
    """Run the console script `report-gen` as a program: `draft` ends without the shutdown of Python.

    The shutdown would release objects that the end of the process releases anyway. With torch it takes half a second
    and 100 MB. All files are closed by then, and draft starts no processes. mypy ends in the same way.
    """
    try:
        main()
    except SystemExit as stop:
        if sys.argv[1:2] == ["draft"] and isinstance(stop.code, int | None) and _flush():
            os._exit(stop.code or 0)
        raise


def _flush() -> bool:
    """Return whether the standard streams that exist have written everything."""
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except (OSError, ValueError):
        return False
    return True
