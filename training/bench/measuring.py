"""Measure the works of `report-gen bench`, print a table for each, and write the results.

Each work imports what it needs when it is measured, so that `report-gen bench --help` loads no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from report_gen.errors import StudyError
from report_gen.terminal import print_table, print_text, track

if TYPE_CHECKING:
    from report_gen.records import Study

    from .pairs import Case, Clock, Timing
    from .startup import Start

_STUDIES = 8
"""Phantoms that are drawn if no studies are given."""

Work = Literal["generation", "reading", "startup", "scoring", "training"]

Other = Literal["transformers", "onnxruntime", "openvino", "pycocoevalcap"]

WORKS: dict[Other, tuple[Work, ...]] = {
    "transformers": ("generation", "training"),
    "onnxruntime": ("generation",),
    "openvino": ("generation",),
    "pycocoevalcap": ("scoring",),
}
"""The works that another software does as well."""
LONG: Work = "training"
"""The work that takes minutes and is measured only if it is named."""


def read_one_study(path: Path) -> Study:
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


@dataclass(kw_only=True)
class Measuring:
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
            if name == work or (work is None and name != LONG):
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

        return [read_one_study(path) for path in self.studies] or draw_studies(self.folder, _STUDIES)

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
        return self.against if self.against is not None and work in WORKS[self.against] else None

    def _time(self, work: Work, cases: Iterable[Case], total: int) -> None:
        from .pairs import time_case

        timed = (time_case(case, rounds=self.rounds, clock=self.clock) for case in cases)
        self.timings[work] = list(track(timed, total=total, description=f"Measuring {work}"))

    def _print(self, work: Work, other: str | None) -> None:
        from .results import timing_table

        print_table(timing_table(self.timings[work], other=other))
