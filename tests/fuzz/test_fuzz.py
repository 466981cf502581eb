"""Every reader keeps its promise on mutated inputs, for seconds. `python -m tests.fuzz --minutes 60` takes longer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.campaign import Campaign, Tally

TARGETS = (
    "dicom-header",
    "dicom-pixels",
    "dicom-jpeg",
    "pictures",
    "dicom-frames",
    "nifti",
    "study-archive",
    "tables",
    "json",
    "xml",
    "tar",
    "zip",
    "saved-dataset",
    "checkpoint",
    "recipe",
    "findings-file",
    "preset",
    "prompt",
    "score",
    "score-features",
    "report",
    "report-dicom",
    "documents",
)

SECONDS = 1.5
"""Time of each target."""
SEED = 1


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """One worker process for all targets, because its imports take seconds."""
    folder = tmp_path_factory.mktemp("fuzz")
    with Campaign(folder / "work", folder / "faults") as campaign:
        yield campaign


def test_every_target_is_tested(campaign: Campaign) -> None:
    assert campaign.targets == TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_a_mutated_input_is_read_or_refused_by_name(campaign: Campaign, target: str) -> None:
    tally = Tally()
    for attempt in range(5):  # a busy machine reads few examples in the time, and the first of a seed change little
        campaign.run(target, SECONDS * 2**attempt, SEED + attempt, tally)
        if tally.read and tally.refused:
            break
    assert {cause: str(folder / "fault.txt") for cause, folder in tally.faults.items()} == {}
    assert tally.read > 0
    assert tally.refused > 0
