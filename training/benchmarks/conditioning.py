"""What ways of conditioning cost: `python -m report_gen_training.benchmarks.conditioning CHECKPOINT...`.

Counts, for every checkpoint, the tokens that a study's images and its prompt become and those of the draft, and times
greedy drafts of the same studies, one by one and eight together, files read and fitted included. Checkpoints take turns
in every round, so that what else the machine does hits all of them; of the rounds the median counts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table

from report_gen.drafting import Drafter, DraftRequest, PreprocessedStudy, StudyPreprocessor
from report_gen.errors import StudyError, UsageError
from report_gen.files import write_atomically
from report_gen.generation import Decoding, generate_tokens
from report_gen.imaging.reading import read_study
from report_gen.model import Checkpoint, load_checkpoint
from report_gen.phantom.dicom import draw_chest, write_png
from report_gen.records.study import Study
from report_gen.terminal import run_app

_TOGETHER = 8


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Of one checkpoint; tokens are means over the studies."""

    checkpoint: str
    conditioning: str
    image_tokens: float
    """That the images of a study become: K, or the tokens of its numbers."""
    prompt_tokens: float
    """P, the begin token included."""
    places: float
    """Before the report in the decoder's sequence: tokens in cross-attention take none."""
    report_tokens: float
    """R of a draft."""
    seconds_alone: float
    """A draft, one study at a time."""
    seconds_together: float
    """A draft, eight studies at a time."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Raises UsageError, CheckpointError, StudyError, OutputError: as their messages say."""
    options = _parse(arguments)
    if options.rounds < 1:
        raise UsageError(f"--rounds {options.rounds}: nothing would be timed; ask for one at least")
    checkpoints = {str(folder): load_checkpoint(folder) for folder in options.checkpoints}
    decoding = Decoding(max_tokens=options.max_tokens)
    with tempfile.TemporaryDirectory() as folder:
        found = [read_study(path) for path in options.studies or _draw_phantoms(Path(folder))]
        studies = [found[place % len(found)] for place in range(_TOGETHER)]
        costs = measure(checkpoints, studies, decoding, rounds=options.rounds)
    Console().print(_table(costs))
    if options.json:
        document = {"threads": torch.get_num_threads(), "rounds": options.rounds, "costs": [asdict(c) for c in costs]}
        write_atomically(options.json, json.dumps(document, indent=2) + "\n")


def measure(
    checkpoints: dict[str, Checkpoint], studies: Sequence[Study], decoding: Decoding, *, rounds: int
) -> list[Costs]:
    """Costs of each checkpoint, by its name, over eight studies.

    Raises:
        StudyError: a study cannot be read.
    """
    drafters = {name: Drafter(checkpoint) for name, checkpoint in checkpoints.items()}
    alone: dict[str, list[float]] = {name: [] for name in drafters}
    together: dict[str, list[float]] = {name: [] for name in drafters}
    for drafter in drafters.values():
        _time(drafter, studies[:1], decoding)  # the first draft warms up
    for number in range(rounds):
        for name, drafter in drafters.items():
            alone[name].append(_time(drafter, [studies[number % len(studies)]], decoding))
            together[name].append(_time(drafter, studies, decoding))
    return [
        _count(name, checkpoint, studies, decoding, median(alone[name]), median(together[name]))
        for name, checkpoint in checkpoints.items()
    ]


def _time(drafter: Drafter, studies: Sequence[Study], decoding: Decoding) -> float:
    """Seconds a draft."""
    began = time.perf_counter()
    for draft in drafter.draft_all(studies, decoding=decoding, batch_size=len(studies)):
        if isinstance(draft, StudyError):
            raise draft
    return (time.perf_counter() - began) / len(studies)


@torch.inference_mode()
def _count(
    name: str, checkpoint: Checkpoint, studies: Sequence[Study], decoding: Decoding, alone: float, together: float
) -> Costs:
    model, preparer = checkpoint.model, StudyPreprocessor(checkpoint)
    batch = [_sound(preparer.preprocess(DraftRequest(study))) for study in studies]
    visual = model.encode_images(*preparer.collate(batch))
    tokens, mask = model.visual_tokens(model.decide(visual.finding_logits.sigmoid()), visual)
    prompts = [item.prompt_ids for item in batch]
    written = generate_tokens(model, visual_tokens=tokens, visual_mask=mask, prompt_ids=prompts, decoding=decoding)
    images, prompt = float(mask.sum(1).double().mean()), _mean_length(prompts) + 1
    return Costs(
        checkpoint=name,
        conditioning=model.config.conditioning,
        image_tokens=images,
        prompt_tokens=prompt,
        places=prompt + (0 if model.conditioning.adds_cross_attention else images),
        report_tokens=_mean_length([one.token_ids for one in written]),
        seconds_alone=alone,
        seconds_together=together,
    )


def _mean_length(rows: Sequence[Sequence[int]]) -> float:
    return sum(map(len, rows)) / len(rows)


def _sound(prepared: PreprocessedStudy | StudyError) -> PreprocessedStudy:
    if isinstance(prepared, StudyError):
        raise prepared
    return prepared


def _draw_phantoms(folder: Path) -> list[Path]:
    return [write_png(folder / f"{seed}.png", draw_chest(seed=seed)) for seed in range(_TOGETHER)]


def _table(costs: Sequence[Costs]) -> Table:
    table = Table(title=f"Tokens a study and seconds a greedy draft, {torch.get_num_threads()} threads")
    headings = ("image tokens", "prompt tokens", "places before\nthe report", "report tokens")
    table.add_column("conditioning")
    for heading in (*headings, "seconds alone", f"seconds of\n{_TOGETHER} together"):
        table.add_column(heading, justify="right")
    for one in costs:
        tokens = (one.image_tokens, one.prompt_tokens, one.places, one.report_tokens)
        seconds = (one.seconds_alone, one.seconds_together)
        table.add_row(one.conditioning, *(f"{count:.1f}" for count in tokens), *(f"{took:.3f}" for took in seconds))
    return table


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT", help="checkpoint folders")
    parser.add_argument(
        "--studies", nargs="+", type=Path, metavar="PATH", help="images or folders; phantoms without it"
    )
    parser.add_argument("--rounds", type=int, default=9, help="of which the median counts")
    parser.add_argument("--max-tokens", type=int, default=100, help="of a draft")
    parser.add_argument("--json", type=Path, help="write the figures here, for programs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_app(main)
