"""Drawn studies with a prior study: a lesion that appears, grows, shrinks, stays or vanishes.

The report compares with the prior study in one sentence. An image alone shows only whether there is a lesion now: the
sizes of lesions that have grown, shrunk or stayed have the same distribution.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from report_gen.records import ChangeState
from tests.builders import write_manifest, write_png
from tests.drawn_sequences import draw_disc

FINDING = "Lung Lesion"

SENTENCES: Mapping[ChangeState | None, str] = {
    ChangeState.NEW: "There is a new lung nodule.",
    ChangeState.WORSENED: "The lung nodule is larger.",
    ChangeState.IMPROVED: "The lung nodule is smaller.",
    ChangeState.UNCHANGED: "The lung nodule is unchanged.",
    ChangeState.RESOLVED: "The lung nodule has resolved.",
    None: "No lung nodule.",
}
"""Report of each change; None for a study without a lesion, before and now."""
ALONE = {True: "There is a lung nodule.", False: "No lung nodule."}
"""Report of a study without a prior study, by whether it shows the lesion."""


class DrawnPair(NamedTuple):
    """Two studies of one patient."""

    change: ChangeState | None
    present: Path
    """PNG file."""
    prior: Path
    days: int
    """Days from the prior study to the present one."""


def write_pairs(folder: Path, *, pairs: Mapping[str, int]) -> dict[str, list[DrawnPair]]:
    """Write drawn pairs as PNG files with a manifest in which the prior study is marked. Return the pairs by split.

    The present study is one row. Of every third pair of each change, the prior study is a row as well, without prior.

    Args:
        folder: The corpus.
        pairs: Number of pairs by split; the changes take turns.
    """
    drawn: dict[str, list[DrawnPair]] = {}
    rows: list[dict[str, Any]] = []
    for seed, (split, count) in enumerate(pairs.items()):
        random = np.random.default_rng(seed)
        drawn[split] = [_draw_pair(folder, f"{split}-{number}", number, random) for number in range(count)]
        for number, pair in enumerate(drawn[split]):
            rows += _rows(f"{split}-{number}", split, pair, with_prior_row=number // len(SENTENCES) % 3 == 0)
    write_manifest(folder, rows)
    return drawn


def _rows(name: str, split: str, pair: DrawnPair, *, with_prior_row: bool) -> Iterator[dict[str, Any]]:
    """Yield the row of the present study, and that of the prior study if it is a training study as well."""
    before, now = _is_shown(pair.change)
    common = {"patient_id": name, "split": split, "modality": "DX", "body_part": "chest"}
    yield common | {
        "study_id": f"{name}-b",
        "images": [pair.prior.name, pair.present.name],
        "is_prior": [1, 0],
        "offsets_days": [-pair.days, 0],
        "findings": SENTENCES[pair.change],
        FINDING: int(now),
    }
    if with_prior_row:
        image = {"images": [pair.prior.name], FINDING: int(before)}
        yield common | image | {"study_id": f"{name}-a", "findings": ALONE[before]}


def _draw_pair(folder: Path, name: str, number: int, random: np.random.Generator) -> DrawnPair:
    change = tuple(SENTENCES)[number % len(SENTENCES)]
    row, column = random.uniform(0.45, 0.55, 2)
    smaller, larger = random.uniform(0.08, 0.16), random.uniform(0.28, 0.38)
    same = random.choice([smaller, larger])
    before, now = {
        ChangeState.NEW: (0.0, same),
        ChangeState.WORSENED: (smaller, larger),
        ChangeState.IMPROVED: (larger, smaller),
        ChangeState.UNCHANGED: (same, same),
        ChangeState.RESOLVED: (same, 0.0),
        None: (0.0, 0.0),
    }[change]
    paths = []
    for suffix, radius in (("prior", before), ("present", now)):
        pixels = draw_disc(row, column, radius)
        pixels = pixels + random.normal(0, 0.01, pixels.shape)
        paths.append(write_png(folder / f"{name}-{suffix}.png", (pixels.clip(0, 1) * 255).astype(np.uint8)))
    return DrawnPair(change, paths[1], paths[0], int(random.integers(1, 400)))


def _is_shown(change: ChangeState | None) -> tuple[bool, bool]:
    """Return whether the prior study and the present study show the lesion."""
    return change not in (None, ChangeState.NEW), change is not None and change.is_present
