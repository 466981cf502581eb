"""Drafts by one of several models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from report_gen.config import ScopeConfig
from report_gen.drafting import Drafted, Drafter, DrafterSet, DraftRequest
from report_gen.errors import ScopeError
from report_gen.generation import DecodingChoice
from report_gen.imaging import read_study
from report_gen.imaging.scope_choice import ModelScope, choose_models
from report_gen.model import Checkpoint, Recognition
from report_gen.records import Report, Study
from tests.builders import PROMPT, corner_image, tiny_config, tiny_model, tokenizer, write_png
from tests.dicom_files import write_dicom
from tests.slice_files import write_slices

BRIEF = DecodingChoice(method="greedy", candidates=1)
RECOGNIZER = {"classes": ("upright", "foreign"), "grid": 1, "components": 1, "max_distance": 1e9}
CHEST = ScopeConfig.model_validate({"modalities": ("DX",), "recognizer": RECOGNIZER})
SLICES = ScopeConfig.model_validate({"modalities": ("CT", "MR"), "recognizer": RECOGNIZER})
SCOPES = {"chest": ModelScope(CHEST), "slices": ModelScope(SLICES, volumes=True)}


class Models:
    """Two models, and the names of those that were loaded. Each recognizer accepts images or refuses all of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **accepts: bool) -> None:
        self.monkeypatch, self.accepts, self.loaded = monkeypatch, accepts, list[str]()
        self.drafters = DrafterSet(self._load, SCOPES)

    def draft(self, studies: Sequence[Study], *, force: bool = False) -> list[Drafted]:
        models = [choose_models(study, SCOPES, force=force) for study in studies]
        requests = [DraftRequest(study) for study in studies]
        return list(self.drafters.draft_all(requests, models, force=force, decoding=BRIEF))

    def _load(self, name: str) -> Drafter:
        self.loaded.append(name)
        scope, volumes = SCOPES[name]
        model = tiny_model(tiny_config(name=name, scope=scope, volumes={"views": 4} if volumes else None))
        assert model.recognizer is not None
        shown = Recognition("upright" if self.accepts.get(name, True) else "foreign", 0.9)
        self.monkeypatch.setattr(model.recognizer, "recognize", lambda features: [shown] * len(features))
        return Drafter.from_checkpoint(Checkpoint(model, tokenizer(), PROMPT, "ab" * 32))


@pytest.fixture
def picture(tmp_path: Path) -> Study:
    return read_study(write_png(tmp_path / "picture.png", corner_image(0)))


@pytest.fixture
def radiograph(tmp_path: Path) -> Study:
    return read_study(write_dicom(tmp_path / "dx.dcm", corner_image(1).astype("uint16"), Modality="DX"))


@pytest.fixture
def volume(tmp_path: Path) -> Study:
    write_slices(tmp_path / "ct", [(0, 0, 2 * number) for number in range(20)], shape=(40, 40))
    return read_study(tmp_path / "ct")


def test_each_study_gets_its_model_and_a_model_is_loaded_once(
    monkeypatch: pytest.MonkeyPatch, radiograph: Study, volume: Study
) -> None:
    models = Models(monkeypatch)
    drafted = models.draft([volume, radiograph, volume])
    assert [one.model for one in drafted] == ["slices", "chest", "slices"]
    assert models.loaded == ["slices", "chest"]
    reports = [one.result for one in drafted if isinstance(one.result, Report)]
    assert [report.provenance.model_name for report in reports] == ["slices", "chest", "slices"]
    assert [len(report.provenance.inputs) for report in reports] == [4, 1, 4]
    assert reports[0].sections == reports[2].sections


def test_a_model_that_no_study_needs_is_not_loaded(monkeypatch: pytest.MonkeyPatch, radiograph: Study) -> None:
    models = Models(monkeypatch)
    models.draft([radiograph])
    assert models.loaded == ["chest"]


@pytest.mark.parametrize(("chest_accepts", "model"), [(True, "chest"), (False, "slices")])
def test_the_recognizers_decide_about_a_picture(
    monkeypatch: pytest.MonkeyPatch, picture: Study, chest_accepts: bool, model: str
) -> None:
    (drafted,) = Models(monkeypatch, chest=chest_accepts).draft([picture])
    assert drafted.model == model
    assert isinstance(drafted.result, Report)
    assert drafted.result.provenance.model_name == model


def test_the_refusal_of_a_picture_says_what_each_model_was_made_for(
    monkeypatch: pytest.MonkeyPatch, picture: Study
) -> None:
    (drafted,) = Models(monkeypatch, chest=False, slices=False).draft([picture])
    assert isinstance(drafted.result, ScopeError)
    assert str(drafted.result).endswith(
        "the image does not look like the images that the model was trained on; the embedded models are chest (DX), "
        "slices (CT, MR); force=True drafts it anyway"
    )


def test_a_forced_draft_of_a_picture_is_that_of_the_first_model(
    monkeypatch: pytest.MonkeyPatch, picture: Study
) -> None:
    (drafted,) = Models(monkeypatch, chest=False, slices=False).draft([picture], force=True)
    assert drafted.model == "chest"
    assert isinstance(drafted.result, Report)
    assert any(
        notice.startswith("FORCED DRAFT: outside the scope of the model [image]") for notice in drafted.result.notices
    )
