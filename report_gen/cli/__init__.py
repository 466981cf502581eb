"""The command line `report-gen`: each command parses its options, calls the library, prints, and sets the exit code.

Modules of this package import at most Typer and light records, so that `--help` starts fast. Handlers import the rest.
"""

import atexit
import gc
import os
import signal
import sys

_GC_THRESHOLD = 50_000
"""Number of new objects after which the garbage collector of Python runs.

The imports of a command create some 200,000 objects that are all kept. With the default threshold, the collector takes
0.2 s of a draft.
"""


def main() -> None:
    """Run the console script `report-gen`.

    While the command line is loaded, Ctrl-C ends the process like a program in C: at once, with exit code 130 and
    without a traceback. Afterwards `run_app` handles it.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from report_gen.cli import app

    app.main()


def run() -> None:
    """Run the console script `report-gen` as a program: `draft` ends without the shutdown of Python's modules.

    The shutdown would release objects that the end of the process releases anyway. With torch it takes half a second
    and 100 MB. Everything that is registered to run at the exit still runs. mypy ends in the same way.
    """
    gc.set_threshold(_GC_THRESHOLD)
    ending = _Ending()
    atexit.register(ending)  # the first function that is registered is called last
    try:
        main()
    except SystemExit as stop:
        if sys.argv[1:2] == ["draft"] and isinstance(stop.code, int | None):
            ending.code = stop.code or 0
        raise


class _Ending:
    """Ends the process if there is an exit code and the standard streams have written everything."""

    code: int | None = None

    def __call__(self) -> None:
        if self.code is None:
            return
        try:
            for stream in filter(None, (sys.stdout, sys.stderr)):
                stream.flush()
        except (OSError, ValueError):
            return
        os._exit(self.code)
