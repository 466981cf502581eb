"""Monitoring of a run: curves, sample drafts, TensorBoard, and a dry run before it starts."""

from .contact_sheet import Strip, draw_contact_sheet
from .dry_run import dry_run, peak_memory
from .dry_run_tables import render_dry_run
from .history import read_history
from .monitor import open_monitor
from .monitored_run import collapse_notices, train_watched

__all__ = [
    "Strip",
    "collapse_notices",
    "draw_contact_sheet",
    "dry_run",
    "open_monitor",
    "peak_memory",
    "read_history",
    "render_dry_run",
    "train_watched",
]
