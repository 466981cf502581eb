"""Compare texts with those of transformers: `python -m report_gen_training.benchmarks.equal_texts IMAGE...`.

The decoding loop of report-gen and `generate` of transformers write the texts of the same images with the same weights,
in float32: greedy, by beam search, and with the default decoding. Printed is for how many studies the tokens are equal,
and every pair of texts that differ.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from rich.table import Table

from report_gen.drafting import Drafter
from report_gen.errors import StudyError
from report_gen.generation import DEFAULT_DECODING, Decoding, generate_tokens
from report_gen.imaging import read_study
from report_gen.model import Checkpoint, load_checkpoint
from report_gen.records import Study
from report_gen.terminal import print_table, print_text, run_app, track

from ..bench.generation import condition, unknown_to_report_gen

_BATCH = 8

Write = Callable[[Sequence[Study]], Sequence[object]]
"""Returns what is compared, one object per study."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, nargs="+", help="images, a study each")
    parser.add_argument("--checkpoint", default="chest_xray", help="checkpoint folder or name of an embedded model")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    ours = writers(load_checkpoint(options.checkpoint))
    theirs = writers(unknown_to_report_gen(load_checkpoint(options.checkpoint, with_transformers=True)))
    print_table(table(compare(ours, theirs, options.images), studies=len(options.images)))


def writers(checkpoint: Checkpoint) -> dict[str, Write]:
    """Return a function for each way to generate texts."""
    drafter = Drafter.from_checkpoint(checkpoint, device="cpu", dtype="float32")

    def tokens(decoding: Decoding) -> Write:
        def write(studies: Sequence[Study]) -> list[tuple[int, ...]]:
            texts = generate_tokens(checkpoint.model, **condition(checkpoint, studies)._asdict(), decoding=decoding)
            return [text.token_ids for text in texts]

        return write

    def drafts(studies: Sequence[Study]) -> list[tuple[str, ...] | str]:
        reports = drafter.draft_all(studies, decoding=DEFAULT_DECODING, batch_size=_BATCH, force=True)
        return [
            str(report) if isinstance(report, StudyError) else tuple(section.text for section in report.sections)
            for report in reports
        ]

    return {"greedy": tokens(Decoding()), "beam search": tokens(Decoding(method="beam")), "default draft": drafts}


def compare(ours: Mapping[str, Write], theirs: Mapping[str, Write], images: Sequence[Path]) -> Counter[str]:
    """Return for each way to generate texts how many are equal, and print those that differ."""
    equal = Counter(dict.fromkeys(ours, 0))
    for start in track(range(0, len(images), _BATCH), total=-(-len(images) // _BATCH), description="Comparing"):
        batch = images[start : start + _BATCH]
        studies = [read_study(image) for image in batch]
        for name in ours:
            for image, own, other in zip(batch, ours[name](studies), theirs[name](studies), strict=True):
                equal[name] += own == other
                if own != other:
                    print_text(f"{image}, {name}:\n    report-gen:   {own}\n    transformers: {other}")
    return equal


def table(equal: Mapping[str, int], *, studies: int) -> Table:
    """Return a table of the numbers of equal texts."""
    found = Table("decoding", "equal texts", title="Texts of report-gen beside those of transformers")
    for name, count in equal.items():
        found.add_row(name, f"{count} of {studies}")
    return found


if __name__ == "__main__":
    run_app(main)
