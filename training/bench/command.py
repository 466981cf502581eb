"""The command `report-gen bench`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from report_gen.errors import ReportGenError, UsageError
from report_gen.terminal import Quiet, Verbose, print_table, print_text, set_verbosity, track

from .measuring import LONG, WORKS, Measuring, Other, Work, read_one_study

_COMPARED, _TIMED = 200, 5
"""Phantoms that are drawn to compare drafts in other data types, and number of studies that are timed."""

_TUNE = "--tune"
_USES: dict[str, tuple[str, ...]] = {
    "--against": ("generation", "scoring", "training"),
    "--checkpoint": ("generation", "startup", _TUNE),
    "--study": ("generation", "startup", _TUNE),
    "--rounds": get_args(Work),
    "--clock": ("generation", "reading", "scoring"),
    "--threads": ("generation", "reading", "training", _TUNE),
    "--sizes": ("generation",),
    "--pairs": ("scoring",),
    "--reports": ("scoring",),
    "--corpus": ("training",),
    "--frozen": ("training",),
    "--json": get_args(Work),
    "--plot": ("generation", "reading", "scoring", "training"),
}
"""The works that an option has an effect on."""
_CHECKPOINT, _ROUNDS, _PAIRS = "chest_xray", 9, 2000


def bench(
    work: Annotated[
        Work | None, typer.Argument(help="What to measure. Default: everything but training, which takes minutes.")
    ] = None,
    against: Annotated[
        Other | None,
        typer.Option(
            help="Also do the same work with other software, in turns: transformers for generation and training, "
            "onnxruntime and openvino for greedy generation, pycocoevalcap for scoring. Reading is always compared "
            "with the decoder of the pixels."
        ),
    ] = None,
    checkpoint: Annotated[
        str, typer.Option(metavar="CHECKPOINT", help="Checkpoint folder or name of an embedded model.")
    ] = _CHECKPOINT,
    studies: Annotated[
        list[Path] | None,
        typer.Option("--study", metavar="PATH", help="Study to draft; may be repeated. Default: synthetic studies."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=2, max=1000, help="Measurements of each way.")] = _ROUNDS,
    clock: Annotated[
        Literal["wall", "cpu"],
        typer.Option(help="Time that counts. cpu suits a machine with other load; training always uses wall."),
    ] = "wall",
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Number of PyTorch threads. Default: as PyTorch chooses.")
    ] = None,
    sizes: Annotated[bool, typer.Option("--sizes", help="Also measure larger decoders with random weights.")] = False,
    pairs: Annotated[int, typer.Option(min=1, max=10**7, help="Pairs of texts to score.")] = _PAIRS,
    reports: Annotated[
        Path | None,
        typer.Option(
            help="CSV table with findings and impression; its sentences are scored. Default: synthetic studies."
        ),
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="Corpus to train on, with a validation split. Default: synthetic studies.")
    ] = None,
    frozen: Annotated[bool, typer.Option("--frozen", help="Train with a frozen encoder.")] = False,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune",
            help="Find the fastest --dtype and threads for drafts of the checkpoint on this CPU, and remember them. "
            f"Drafts of the studies, or of {_COMPARED} phantoms, must be as good as in float32.",
        ),
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all times as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the times as PNG, except of startup.")] = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Measure the time and memory of report-gen on this machine.

    With --against the same work is done in two ways in turns, and the table shows the speedup of report-gen with a 95%
    bootstrap interval.
    """
    set_verbosity(verbose=verbose, quiet=quiet)
    if tune and work is not None:
        raise UsageError("--tune measures drafts only; leave the work out")
    given = {
        "--against": against is not None,
        "--checkpoint": checkpoint != _CHECKPOINT,
        "--study": bool(studies),
        "--rounds": rounds != _ROUNDS,
        "--clock": clock != "wall",
        "--threads": threads is not None,
        "--sizes": sizes,
        "--pairs": pairs != _PAIRS,
        "--reports": reports is not None,
        "--corpus": corpus is not None,
        "--frozen": frozen,
        "--json": json_file is not None,
        "--plot": plot is not None,
    }
    _refuse_unused([option for option, is_given in given.items() if is_given], _TUNE if tune else work)
    if tune:
        _tune(checkpoint, studies or [], threads)
        return
    if against is not None and work is not None and work not in WORKS[against]:
        raise UsageError(
            f"{against} cannot be compared in {work}; --against {against} is for {' and '.join(WORKS[against])}"
        )
    _check_outputs(json_file, plot)
    import torch

    from .exported_decoders import RUNTIMES, import_runtime

    if against in RUNTIMES:
        import_runtime(against)
    elif against == "pycocoevalcap":
        from .scoring import require_scorers

        require_scorers()
    if threads is not None:
        torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as temporary:
        measuring = Measuring(
            folder=Path(temporary), rounds=rounds, clock=clock, against=against, checkpoint=checkpoint,
            studies=studies or [], sizes=sizes, pairs=pairs, reports=reports, corpus=corpus, frozen=frozen,
        )  # fmt: skip
        try:
            measuring.measure(work)
        except ReportGenError:
            if measuring.timings or measuring.starts:
                measuring.save(json_file, plot)
            raise
    measuring.save(json_file, plot)


def _refuse_unused(options: Sequence[str], work: str | None) -> None:
    """Raise UsageError if an option has no effect.

    Args:
        options: The options that were given.
        work: The work that is measured, or `--tune`; None for all works but the long one.
    """
    measured = {name for name in get_args(Work) if name != LONG} if work is None else {work}
    for option in options:
        if measured.isdisjoint(_USES[option]):
            if work is None:
                raise UsageError(
                    f"{option} has an effect only on {' and '.join(_USES[option])}; name it, or leave {option} out"
                )
            raise UsageError(f"{option} has no effect on {work}; leave it out")


def _check_outputs(json_file: Path | None, plot: Path | None) -> None:
    """Check the files that are written after the measurement.

    Raises:
        UsageError: Both are the same file.
        OutputError: A file cannot be written.
    """
    from report_gen.files import check_writable

    if json_file is not None and plot is not None and os.path.realpath(json_file) == os.path.realpath(plot):
        raise UsageError(f"--json and --plot name the same file, {plot}; give two names")
    for path in (json_file, plot):
        if path is not None:
            check_writable(path)


def _tune(checkpoint: str, paths: Sequence[Path], threads: int | None) -> None:
    """Find and remember the fastest settings of a checkpoint."""
    import torch

    from report_gen.files import check_writable
    from report_gen.model import describe_processor, manifest_digest, remember_tuning, tuning_file

    from .generation import draw_studies
    from .results import tuning_table
    from .tuning import count_settings, fastest, try_settings

    digest = manifest_digest(checkpoint)  # errors of the checkpoint and of the file come before any work
    check_writable(tuning_file())
    if threads is not None:
        torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as temporary:
        studies = [read_one_study(path) for path in paths] or draw_studies(Path(temporary), _COMPARED)
        settings = try_settings(checkpoint, studies, timed=_TIMED)
        tried = list(track(settings, total=count_settings(), description="Trying settings"))
    best = fastest(tried)
    print_table(tuning_table(tried, studies=len(studies), best=best))
    path = remember_tuning(digest, best.tuning)
    print_text(
        f"Remembered for {describe_processor()} in {path}. Drafts with --dtype auto use these settings. Delete the "
        "file to remove them."
    )
