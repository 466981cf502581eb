"""The command `report-gen bench`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from report_gen.errors import ReportGenError, StudyError, UsageError
from report_gen.terminal import Quiet, Verbose, print_table, print_text, set_verbosity, track

if TYPE_CHECKING:
    from report_gen.records import Study

    from .pairs import Case, Clock, Timing
    from .startup import Start

_STUDIES = 8
"""Phantoms that are drawn if no studies are given."""
_COMPARED, _TIMED = 200, 5
"""Phantoms that are drawn to compare drafts in other data types, and number of studies that are timed."""

Work = Literal["generation", "reading", "startup", "scoring", "training"]

Other = Literal["transformers", "onnxruntime", "openvino", "pycocoevalcap"]

_OTHERS: dict[Other, tuple[Work, ...]] = {
    "transformers": ("generation", "training"),
    "onnxruntime": ("generation",),
    "openvino": ("generation",),
    "pycocoevalcap": ("scoring",),
}
"""The works that another software does as well."""
_LONG: Work = "training"
"""The work that takes minutes and is measured only if it is named."""
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
    if against is not None and work is not None and work not in _OTHERS[against]:
        raise UsageError(
            f"{against} cannot be compared in {work}; --against {against} is for {' and '.join(_OTHERS[against])}"
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
        measuring = _Measuring(
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
    measured = {name for name in get_args(Work) if name != _LONG} if work is None else {work}
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


def _read_study(path: Path) -> Study:
    """Read the study at a path of --study.

    Raises:
        StudyError: The file is not a readable image, or the folder contains no study, several, or a broken file.
    """
    from report_gen.imaging import read_studies

    found = read_studies(path)
    if found.refused:
        raise found.refused[0]
    if len(found.studies) > 1:
        raise StudyError(
            path, f"contains {len(found.studies)} studies; give the folder or file of each with a --study of its own"
        )
    return found.studies[0]


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
        studies = [_read_study(path) for path in paths] or draw_studies(Path(temporary), _COMPARED)
        settings = try_settings(checkpoint, studies, timed=_TIMED)
        tried = list(track(settings, total=count_settings(), description="Trying settings"))
    best = fastest(tried)
    print_table(tuning_table(tried, studies=len(studies), best=best))
    path = remember_tuning(digest, best.tuning)
    print_text(
        f"Remembered for {describe_processor()} in {path}. Drafts with --dtype auto use these settings. Delete the "
        "file to remove them."
    )


@dataclass(kw_only=True)
class _Measuring:
    """What is measured, by the options of the command, and the results."""

    folder: Path
    rounds: int
    clock: Clock
    against: Other | None
    checkpoint: str
    studies: list[Path]
    sizes: bool
    pairs: int
    reports: Path | None
    corpus: Path | None
    frozen: bool
    timings: dict[str, list[Timing]] = field(default_factory=dict)
    """Times by work."""
    starts: list[Start] = field(default_factory=list)

    def measure(self, work: Work | None) -> None:
        """Measure one work or all of them but the long one, and print a table for each."""
        works: dict[Work, Callable[[], None]] = {
            "generation": self._generation,
            "reading": self._reading,
            "startup": self._startup,
            "scoring": self._scoring,
            "training": self._training,
        }
        if work in (None, "generation", "startup"):
            from report_gen.model import find_checkpoint

            find_checkpoint(self.checkpoint)  # its error comes before any work
            self._found = self._find_studies()
        for name, measure in works.items():
            if name == work or (work is None and name != _LONG):
                measure()

    def save(self, json_file: Path | None, plot: Path | None) -> None:
        """Print the description of the machine, and write the results as JSON and as PNG."""
        from report_gen.files import write_atomically

        from .machine import describe_machine, describe_shortly
        from .plot import draw_timings
        from .results import document

        machine = describe_machine()
        print_text(describe_shortly(machine))
        if json_file is not None:
            found = document(self.timings, self.starts, machine, clock=self.clock, against=self.against)
            write_atomically(json_file, found)
        if plot is not None:
            drawn = [timing for timings in self.timings.values() for timing in timings]
            write_atomically(plot, draw_timings(drawn, other=self.label, caption=describe_shortly(machine)))

    @property
    def label(self) -> str | None:
        """Name of the other way in a plot; None without one."""
        others = ["the decoder alone"] if "reading" in self.timings else []
        if any(self._other(work) for work in self.timings):
            others.append(str(self.against))
        return " or ".join(others) or None

    def _find_studies(self) -> list[Study]:
        from .generation import draw_studies

        return [_read_study(path) for path in self.studies] or draw_studies(self.folder, _STUDIES)

    def _generation(self) -> None:
        from .generation import generation_cases

        other = self._other("generation")
        found = generation_cases(self.checkpoint, self._found, against=other, sizes=self.sizes, folder=self.folder)
        cases = list(found)
        self._time("generation", cases, len(cases))
        self._print("generation", other)

    def _reading(self) -> None:
        from .reading import case_count, reading_cases
        from .results import reading_table

        self._time("reading", reading_cases(self.folder, clock=self.clock), case_count(self.clock))
        print_table(reading_table(self.timings["reading"]))

    def _startup(self) -> None:
        from .results import startup_table
        from .startup import measure_start

        folder = Path(self.checkpoint)
        checkpoint = str(folder.resolve()) if folder.is_dir() else self.checkpoint  # the processes run elsewhere
        draft = ["draft", str(self._found[0].images[0].path.resolve()), "--checkpoint", checkpoint, "--force"]
        commands = {"report-gen --help": ["--help"], "report-gen draft": draft}
        starts = [
            measure_start(name, arguments, folder=self.folder, rounds=self.rounds)
            for name, arguments in commands.items()
        ]
        print_table(startup_table(starts))
        self.starts += starts

    def _scoring(self) -> None:
        from .results import startup_table
        from .scoring import draw_pairs, measure_command, read_texts, scoring_cases

        texts = draw_pairs(read_texts(self.reports, self.folder), self.pairs)
        other = self._other("scoring")
        cases = list(scoring_cases(texts, against=other is not None))
        self._time("scoring", cases, len(cases))
        self._print("scoring", other)
        start = measure_command(texts, self.folder, rounds=self.rounds)
        print_table(startup_table([start]))
        self.starts.append(start)

    def _training(self) -> None:
        from .training import TrainingSetup, draw_corpus, time_training

        other = self._other("training")
        setup = TrainingSetup(corpus=self.corpus or draw_corpus(self.folder), frozen=self.frozen)
        found = time_training(setup, self.folder, rounds=self.rounds, against=other is not None)
        self.timings["training"] = [found.step, found.preparation]
        self._print("training", other)
        print_text(found.describe_losses())

    def _other(self, work: str) -> Other | None:
        """Return the other software, if it does this work."""
        return self.against if self.against is not None and work in _OTHERS[self.against] else None

    def _time(self, work: Work, cases: Iterable[Case], total: int) -> None:
        from .pairs import time_case

        timed = (time_case(case, rounds=self.rounds, clock=self.clock) for case in cases)
        self.timings[work] = list(track(timed, total=total, description=f"Measuring {work}"))

    def _print(self, work: Work, other: str | None) -> None:
        from .results import timing_table

        print_table(timing_table(self.timings[work], other=other))
