"""Run a command line: exit codes, signals, messages and progress bars.

Drafts and results go to standard output. Everything else goes to standard error, so that standard output can be piped.
Nothing that is printed contains a control character of a file name, a header or a text: see `report_gen.controls`.
`report-gen` and `python -m report_gen_training` share this package.
"""

from report_gen.terminal.application import Quiet, Verbose, run_app
from report_gen.terminal.error_list import ErrorList, error_list, print_errors
from report_gen.terminal.option_names import OPTION_NAMES, name_options
from report_gen.terminal.printing import (
    is_quiet,
    print_error,
    print_json,
    print_notice,
    print_table,
    print_text,
    set_verbosity,
)
from report_gen.terminal.progress import Bars, bars, track
from report_gen.terminal.stopping import StopCheck, kept_handlers, stop_on_signals
from report_gen.terminal.worker_signals import blocked_signals, ignore_signals

__all__ = [
    "OPTION_NAMES",
    "Bars",
    "ErrorList",
    "Quiet",
    "StopCheck",
    "Verbose",
    "bars",
    "blocked_signals",
    "error_list",
    "ignore_signals",
    "is_quiet",
    "kept_handlers",
    "name_options",
    "print_error",
    "print_errors",
    "print_json",
    "print_notice",
    "print_table",
    "print_text",
    "run_app",
    "set_verbosity",
    "stop_on_signals",
    "track",
]
