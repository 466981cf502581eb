"""The studies of a fine-tuning: reports, prompts, splits and the order of the steps."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from report_gen_training.adapter_tuning.tunable_model import TunableModel, describe_model, load_tunable_model
from report_gen_training.adapter_tuning.tuning_studies import ChatEncoder, StepBatches, read_studies
from report_gen_training.run import ignore_progress

from report_gen.backends import IGNORED_LABEL, HubBackend
from report_gen.drafting import NO_LIMITS, ChatStudy
from tests.training.adapter_tuning.tuning_runs import recipe, write_corpus


@pytest.fixture(scope="module")
def model(described: dict[str, Path], corpus: Path) -> TunableModel:
    tuned = recipe(described["llava"], corpus)
    return load_tunable_model(tuned, describe_model(tuned))


def test_the_prompt_and_the_images_are_those_of_a_draft(
    tmp_path: Path, model: TunableModel, described: dict[str, Path]
) -> None:
    """The inputs of training begin with the inputs that a `Drafter` gives to `generate`."""
    corpus = write_corpus(tmp_path / "corpus")
    tuned = recipe(described["llava"], corpus)
    studies = read_studies(tuned, tmp_path, model.description.schema, on_progress=ignore_progress)
    study = studies.training[0]
    decoding = model.generator.info.decoding
    item = model.generator.prepare(study.request(), decoding=decoding, limits=NO_LIMITS, blank=False, force=False)
    assert isinstance(item, ChatStudy)
    drafted = model.backend._encode(model.generator.chat(item, decoding))
    learned = ChatEncoder(tuned, model.generator, model.backend).encode(study)
    assert learned is not None
    length = drafted["input_ids"].shape[1]
    assert learned.sequences["input_ids"][:length].tolist() == drafted["input_ids"][0].tolist()
    assert learned.images["pixel_values"].tolist() == drafted["pixel_values"].tolist()
    answer = [one for one in learned.labels.tolist() if one != IGNORED_LABEL][:-1]
    assert _decoded(model.backend, answer) == "FINDINGS:\nThe heart is enlarged.\n\nIMPRESSION:\nCardiomegaly."


def _decoded(backend: HubBackend, ids: list[int]) -> str:
    return str(backend._tokenizer.decode(ids))


def test_which_studies_are_learned(tmp_path: Path, model: TunableModel, described: dict[str, Path]) -> None:
    corpus = write_corpus(tmp_path / "corpus", studies=6)
    rows = [json.loads(line) for line in (corpus / "manifest.jsonl").read_text().splitlines()]
    rows[0] |= {"findings": "The lungs are clear. The heart is unchanged since the prior study."}
    rows[2] |= {"findings": "", "impression": "Normal chest."}  # without the required section
    rows[4] |= {"split": "test"}
    rows[10] |= {
        "images": ["5.png", "4.png"],
        "is_prior": [0, 1],
        "findings": "The heart is unchanged.",
        "prior_report": "The heart is enlarged.",
    }
    (corpus / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = {"name": "drawn", "path": str(corpus), "exclude": ["train-4"]}
    tuned = recipe(described["llava"], corpus, corpora=[source])
    studies = read_studies(tuned, tmp_path, model.description.schema, on_progress=ignore_progress)
    reports = {study.study_id: study.report for study in studies.training}
    assert reports.keys() == {"train-0", "train-3", "train-5"}
    assert "unchanged" not in reports["train-0"]
    assert "The heart is unchanged." in reports["train-5"]
    assert [path.name for path in studies.training[-1].images] == ["5.png"]
    assert studies.counts == {"drawn": {"train": 3, "val": 6}}


def test_every_study_is_drawn_once_in_each_pass(
    tmp_path: Path, model: TunableModel, described: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = write_corpus(tmp_path / "corpus", studies=6)
    tuned = recipe(described["llava"], corpus, batch_size=2, accumulate=2)
    studies = read_studies(tuned, tmp_path, model.description.schema, on_progress=ignore_progress).training
    encoder = ChatEncoder(tuned, model.generator, model.backend)
    monkeypatch.setattr(encoder, "encode", lambda study: study.study_id)
    steps = StepBatches(tuned, studies, encoder)
    batches = [batch for step in range(3) for batch in steps[step]]
    assert [len(batch) for batch in batches] == [2] * 6
    drawn = [name for batch in batches for name in batch]
    assert Counter(drawn[:6]) == Counter(drawn[6:]) == {f"train-{number}": 1 for number in range(6)}
    assert drawn[:6] != drawn[6:]
    assert steps[1] == StepBatches(tuned, studies, encoder)[1]
