"""Measure what each output format costs: `python -m report_gen_training.benchmarks.formats --reports 1000`.

Synthetic drafts of one synthetic radiograph are written in each format, in a process of its own. The first report
includes the import of the libraries, and its memory is that of a command which writes one file.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.table import Table

from report_gen import read_study
from report_gen.outputs import DraftDocument, format_names, get_format
from report_gen.phantom import write_phantom
from report_gen.records import (
    Box,
    Finding,
    FindingLocation,
    FindingState,
    Heatmap,
    InputFile,
    Provenance,
    Report,
    Section,
    SectionName,
    Sentence,
    Side,
    Study,
    Zone,
)
from report_gen.terminal import print_table, track

_FINDINGS = {
    FindingState.PRESENT: ("Cardiomegaly", "Pleural Effusion", "Atelectasis"),
    FindingState.UNCERTAIN: ("Edema",),
    FindingState.ABSENT: ("Pneumothorax", "Consolidation", "Pneumonia", "Fracture", "Lung Lesion"),
    FindingState.UNKNOWN: ("Support Devices", "Hernia"),
}
_PATCHES = 24
"""Patches of the attention along a side."""


@dataclass(frozen=True)
class Cost:
    """Time, file size and memory of reports in one format."""

    first_seconds: float
    """Time of the first report, with the import of the libraries."""
    seconds: float
    """Time of all reports."""
    largest: int
    """Size of the largest file, bytes."""
    total: int
    """Size of all files, bytes."""
    first_memory: int
    """Peak of the resident memory after the first report, bytes."""
    memory: int
    """Peak of the resident memory after all reports, bytes."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the reports in each format, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=1000, help="number of reports in each format")
    parser.add_argument("--size", type=int, default=1024, help="side of the radiograph, pixels")
    parser.add_argument("--format", nargs="+", choices=format_names(), default=format_names(), help="default: all")
    options = parser.parse_args(arguments)
    table = Table(title=f"one report and {options.reports} reports, radiograph of {options.size} x {options.size}")
    for heading in ("format", "first, s", "memory, MB", "bytes", f"{options.reports}, s", "memory, MB", "MB in all"):
        table.add_column(heading, justify="left" if heading == "format" else "right", no_wrap=heading == "format")
    with tempfile.TemporaryDirectory() as folder:
        image = write_phantom(folder, rows=options.size, columns=options.size)
        for name in track(options.format, total=len(options.format), description="formats"):
            with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
                cost = process.submit(measure_format, name, options.reports, image).result()
            table.add_row(
                name,
                f"{cost.first_seconds:.2f}",
                f"{cost.first_memory / 1e6:.0f}",
                f"{cost.largest:,}",
                f"{cost.seconds:.2f}",
                f"{cost.memory / 1e6:.0f}",
                f"{cost.total / 1e6:.2f}",
            )
    print_table(table)


def measure_format(name: str, reports: int, image: Path) -> Cost:
    """Write reports in a format, and return the costs. The process should be new: its peak of memory counts.

    Args:
        name: The format.
        reports: Number of reports, which differ in their text.
        image: The radiograph. Its header is read again for each report, as that of another study would be.
    """
    output_format = get_format(name)
    study = read_study(image)
    attention = _attention(study) if output_format.needs_attention else None
    sizes, first_seconds, first_memory = list[int](), 0.0, 0
    start = time.perf_counter()
    for number in range(reports):
        draft = DraftDocument(report=_report(study, number), study=study, attention=attention)
        sizes.append(len(output_format.render(draft)))
        if number == 0:
            first_seconds, first_memory = time.perf_counter() - start, peak_memory()
    return Cost(first_seconds, time.perf_counter() - start, max(sizes), sum(sizes), first_memory, memory=peak_memory())


def _report(study: Study, number: int) -> Report:
    """Return a draft of usual length: six sentences of findings, two of impression, eleven findings of the model."""
    sentence = f"There is a small left pleural effusion, measuring {number} mm, with atelectasis at the base."
    lower_left, unknown = FindingLocation(Side.LEFT, frozenset({Zone.LOWER})), FindingLocation()
    return Report(
        sections=tuple(
            Section(name, (Sentence(sentence, 0.9),) * count)
            for name, count in ((SectionName.FINDINGS, 6), (SectionName.IMPRESSION, 2))
        ),
        findings=tuple(
            Finding(name=name, state=state, probability=0.5, location=lower_left if state.is_stated else unknown)
            for state, names in _FINDINGS.items()
            for name in names
        ),
        notices=("The model was trained on frontal chest radiographs of adults.",),
        provenance=Provenance(
            model_name="benchmark",
            weights_sha256="0" * 64,
            program_version="0",
            created="2026-01-02T03:04:05+00:00",
            study_instance_uid=study.study_instance_uid,
            inputs=tuple(InputFile(sha256=one.sha256, sop_instance_uid=one.sop_instance_uid) for one in study.images),
            decoding={"method": "beam"},
        ),
    )


def _attention(study: Study) -> Heatmap:
    """Return attention with one maximum for each finding."""
    rows, columns = study.images[0].rows, study.images[0].columns
    pixels = np.random.default_rng(0).random((rows, columns), dtype=np.float32)
    weights = np.full((_PATCHES, _PATCHES), 1e-4, np.float32)
    weights[14:20, 14:20] = 1e-2
    return Heatmap(
        image=pixels,
        square=(0.0, 0.0, float(max(rows, columns))),
        part=Box(top=0, left=0, rows=rows, columns=columns),
        weights={name: weights for names in _FINDINGS.values() for name in names},
    )


def peak_memory() -> int:
    """Return the peak of the resident memory of this process, bytes."""
    if sys.platform == "linux":  # getrusage also counts the memory of the parent before the process was started
        return 1024 * int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
