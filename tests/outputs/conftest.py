"""A draft with every kind of content that an output must contain or escape, and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from report_gen.records import (
    Attribute,
    Finding,
    FindingLocation,
    FindingState,
    InputFile,
    Provenance,
    Report,
    Section,
    SectionName,
    Sentence,
    Side,
    Zone,
)
from tests.chromium import running_chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Return a browser for the tests of a module. They are skipped if it is not installed."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def pango() -> None:
    """Skip a test of PDF files where its libraries are missing."""
    try:
        import weasyprint  # noqa: F401
    except (ImportError, OSError) as error:
        pytest.skip(f"WeasyPrint cannot be loaded: {error}")


@pytest.fixture(scope="session")
def report() -> Report:
    return Report(
        sections=(
            Section(SectionName.FINDINGS, (Sentence("Clear \x1b[31mlungs.", 0.75), Sentence("Café sign.\u202e"))),
            Section(SectionName.IMPRESSION, (Sentence("Normal.", 1.0),)),
        ),
        findings=(
            Finding(name="Edema", state=FindingState.ABSENT, probability=0.125),
            Finding(name="Fracture", state=FindingState.UNKNOWN),
            Finding(
                name="Pneumonia",
                state=FindingState.PRESENT,
                probability=0.5,
                present_threshold=0.4,
                uncertain_threshold=0.30006,
                overridden=True,
                location=FindingLocation(Side.LEFT, frozenset({Zone.LOWER, Zone.MID})),
                location_overridden=True,
                side_probability=0.75,
                zone_probabilities=(0.25, 0.5, 0.875),
            ),
        ),
        notices=("Lateral view\nonly.",),
        provenance=Provenance(
            model_name="tiny",
            weights_sha256="0123456789abcdef" * 4,
            program_version="0.1.0",
            created="2026-01-02T03:04:05Z",
            study_instance_uid="1.2.3",
            inputs=(InputFile(sha256="ff" * 32, sop_instance_uid=None),),
            decoding=MappingProxyType({"beams": 1}),
        ),
        attributes=(
            Attribute(name="plane", value="axial", probability=0.25, predicted="\x1bcoronal", overridden=True),
        ),
    )


@pytest.fixture(scope="session")
def chat_report() -> Report:
    """A draft of a model behind an endpoint: findings from the text, no confidence, weights unknown."""
    return Report(
        sections=(
            Section(SectionName.INDICATION, (Sentence("Cough."),)),
            Section(SectionName.FINDINGS, (Sentence("Opacity on the right."), Sentence("No effusion."))),
            Section(SectionName.IMPRESSION, (Sentence("Pneumonia."),)),
        ),
        findings=(
            Finding(name="No Finding", state=FindingState.ABSENT, means_normal=True, from_text=True),
            Finding(name="Pneumonia", state=FindingState.PRESENT, from_text=True),
            Finding(name="Fracture", state=FindingState.UNKNOWN, from_text=True),
        ),
        notices=(),
        provenance=Provenance(
            model_name="medgemma-1.5-4b-it",
            weights_sha256="",
            program_version="0.1.0",
            created="2026-01-02T03:04:05+00:00",
            study_instance_uid="1.2.3",
            inputs=(InputFile(sha256="ff" * 32, sop_instance_uid=None),),
            decoding=MappingProxyType(
                {"method": "sample", "max_tokens": 512, "candidates": 4, "thinking_characters": 0}
            ),
            model_revision="89abcdef" * 5,
            endpoint="gpu.hospital.example",
        ),
    )
