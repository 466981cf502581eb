"""Figures of the decoders of finished runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from report_gen_training.benchmarks.decoders import main, measure
from report_gen_training.engine import train
from report_gen_training.recipe import Recipe

from report_gen.auditing import is_fragment
from report_gen.errors import UsageError
from report_gen.generation import Decoding, mismatched_findings
from report_gen.labeling import label_findings
from report_gen.model import load_checkpoint
from report_gen.records import parse_report
from tests.builders import tiny_recipe, write_manifest

REPORTS = (
    "The heart is enlarged. The lungs are clear.",
    "There is a small left pleural effusion.",
    "The lungs are clear. The heart is normal in size.",
    "There is a rib fracture. No pneumothorax.",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose only stage trains the decoder on texts."""
    folder = tmp_path_factory.mktemp("decoders")
    rows = [
        {"study_id": f"{split}{number}", "patient_id": f"{split}{number}", "split": split, "findings": text}
        for split in ("train", "val")
        for number, text in enumerate(REPORTS)
    ]
    write_manifest(folder / "images", rows)
    train(recipe(folder), folder / "run", resume=False, on_step=lambda _: None)
    return folder / "run"


def recipe(data: Path) -> Recipe:
    corpora = [{"name": "images", "path": "images", "use_images": False}]
    stage = {"steps": 8, "checkpoint_metric": "loss", "rates": {"decoder": 1e-2}}
    text = {"vocabulary_size": 120, "min_word_patients": 1, "max_report_tokens": 60, "sections": ["FINDINGS"]}
    model = tiny_recipe(data).model.model_dump()
    model["decoder"]["dropout"] = 0.5
    return tiny_recipe(data, corpora=corpora, stage=stage, text=text, model=model)


def test_the_loss_is_that_of_the_validation(run: Path) -> None:
    figures = measure(run, Decoding(), drafts=4)
    records = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    losses = [record["loss"] for record in records if record["kind"] == "validation"]
    assert figures.nats_per_token == pytest.approx(min(losses), rel=1e-5)
    checkpoint = load_checkpoint(run / "best")
    texts = [f"FINDINGS:\n{text}" for text in REPORTS]
    tokens = sum(len(checkpoint.tokenizer.encode(text)) + 1 for text in texts)
    words = sum(len(text.split()) for text in texts)
    assert figures.nats_per_word == pytest.approx(figures.nats_per_token * tokens / words)
    assert figures.parameters == sum(one.numel() for one in checkpoint.model.decoder.parameters())
    assert len(figures.texts) == 4
    assert figures.texts[0].startswith("[Cardiomegaly (present)")
    assert 0 < figures.distinct <= 1
    assert figures.seconds > 0
    assert figures.peak_bytes > 50e6
    schema = checkpoint.model.config.finding_schema
    mismatched = [
        mismatched_findings(shown.split("\n", 1)[1], list(label_findings(report, schema).values()), schema)
        for shown, report in zip(figures.texts, REPORTS, strict=True)
    ]
    assert figures.mismatched_findings == sum(map(len, mismatched)) / 4
    sections = [section for shown in figures.texts for section in parse_report(shown.split("\n", 1)[1])]
    faults = [is_fragment(sentence.text) for section in sections for sentence in section.sentences]
    assert figures.fragments == (sum(faults) / len(faults) if faults else 0)


def test_the_command_measures_in_a_process_of_its_own(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = run.parent / "texts.md"
    main([str(run), "--drafts", "2", "--method", "greedy", "--candidates", "1", "--texts", str(texts)])
    assert re.search(r"nats per word +│ +\d+\.\d{3} ", capsys.readouterr().out)
    assert texts.read_text().count("[") == 2


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run folder; give a folder that report-gen train wrote"):
        measure(tmp_path, Decoding(), drafts=1)


def test_a_recipe_of_another_release_and_no_drafts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"old_key": 1}')
    with pytest.raises(UsageError, match=r"recipe\.json: not a recipe of this release; give a run that it trained"):
        measure(tmp_path, Decoding(), drafts=1)
    with pytest.raises(UsageError, match="--drafts 0: must be 1 or more"):
        main([str(tmp_path), "--drafts", "0"])
