"""The command line `report-gen`: each command parses its options, calls the library, prints, and sets the exit code.

Modules of this package import at most Typer and light records, so that `--help` starts fast. Handlers import the rest.
"""

import signal


def main() -> None:
    """Run the console script `report-gen`.

    While the command line is loaded, Ctrl-C ends the process like a program in C: at once, with exit code 130 and
    without a traceback. Afterwards `run_app` handles it.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from report_gen.cli import app

    app.main()
