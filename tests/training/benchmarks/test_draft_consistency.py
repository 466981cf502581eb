"""Audit of drafts against drafts written by hand, and the table of a small corpus."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_gen_training.benchmarks.draft_consistency import AuditedDraft, audit_draft, main, select_rows
from report_gen_training.data import is_held_out

from report_gen.errors import UsageError
from report_gen.labeling import chest_xray
from report_gen.records import FindingState, parse_report
from tests.builders import noise_image, write_checkpoint, write_manifest, write_png

SCHEMA = chest_xray()
ROW = {"modality": "CT", "plane": "axial", "body_part": ""}


def audit(text: str, *present: str) -> AuditedDraft:
    states = [FindingState.PRESENT if name in present else FindingState.UNKNOWN for name in SCHEMA.findings]
    return audit_draft(parse_report(text), states, ROW, SCHEMA)


def test_a_draft_that_disagrees_in_everything() -> None:
    text = (
        "FINDINGS: Large left effusion. No edema. Fracture. Axial MRI beside a coronal CT. "
        "IMPRESSION: Small right effusion. Mild effusion. Edema. Pneumonia."
    )
    audited = audit(text, "Pleural Effusion", "Cardiomegaly", "Edema", "Fracture")
    assert audited == AuditedDraft(
        text=audited.text,
        contradictions=2,  # the effusion without a side is large and mild, the edema absent and present
        other_sides=1,
        only_findings=1,  # the fracture
        only_impression=2,  # edema and pneumonia
        mismatched=2,  # the omitted cardiomegaly and the pneumonia
        named={"modality": False, "plane": True},
        wrong_values=2,  # MRI and coronal
    )


def test_a_draft_that_agrees_with_itself() -> None:
    audited = audit("FINDINGS: Small left effusion on CT. IMPRESSION: Small effusion.", "Pleural Effusion")
    assert audited == AuditedDraft(
        text="Small left effusion on CT.\nSmall effusion.",
        contradictions=0,
        other_sides=0,
        only_findings=0,
        only_impression=0,
        mismatched=0,
        named={"modality": True},
        wrong_values=0,
    )


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two validation studies, and eight training studies of as many patients."""
    names = [f"{split}{number}" for split, count in (("val", 2), ("train", 8)) for number in range(count)]
    for name in names:
        write_png(tmp_path / "images" / f"{name}.png", noise_image(names.index(name)))
    rows = [
        {
            "study_id": name,
            "patient_id": name,
            "images": [f"{name}.png"],
            "split": name[:-1],
            "findings": "Large heart.",
        }
        for name in names
    ]
    write_manifest(tmp_path / "images", rows)
    return tmp_path / "images"


def test_the_studies_of_a_corpus(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--checkpoint", str(write_checkpoint(corpus / "tiny")), "--method", "greedy", "--candidates", "1"]
    main([str(corpus), *options])
    assert "2 drafts" in capsys.readouterr().out
    held_out = [name for name in map("train{}".format, range(8)) if is_held_out(name, 0.5)]
    assert 1 < len(held_out) < 8
    chosen = select_rows(str(corpus), layout=None, split="val", hold_out=0.5, schema=SCHEMA)
    assert [row["study_id"] for row in chosen] == held_out


def test_a_corpus_without_readable_images(corpus: Path) -> None:
    for image in corpus.glob("val*.png"):
        image.write_bytes(b"no image")
    with pytest.raises(UsageError, match="no study can be read"):
        main([str(corpus), "--checkpoint", str(write_checkpoint(corpus / "tiny")), "--candidates", "1"])
