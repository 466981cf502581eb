"""A recipe with prior images, from the column `is_prior` of a manifest to the comparisons in drafts."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from report_gen_training.engine.session import train
from report_gen_training.recipe.schema import Recipe

from report_gen.auditing import mentions_prior, stated_change
from report_gen.drafting import Drafter, DraftRequest, PriorStudy
from report_gen.errors import CorpusError
from report_gen.generation import Decoding
from report_gen.imaging import read_study
from report_gen.records import ChangeState, Report, SectionName
from tests.builders import noise_image, tiny_recipe, write_manifest, write_png
from tests.drawn_priors import ALONE, FINDING, DrawnPair, write_pairs

GREEDY = Decoding(method="greedy", max_tokens=30)
FINDINGS = f'name = "lesion"\n\n[[finding]]\nname = "{FINDING}"\nphrases = ["lung nodule"]\n'
STEPS = 900


class Drafted(NamedTuple):
    """The drafts of a pair of studies of a patient whom the training did not use."""

    pair: DrawnPair
    compared: Report
    """With the prior study."""
    alone: Report
    """Without it."""


def recipe_of(data: Path) -> Recipe:
    """Return a recipe that trains all but the image encoder, which stays random, on the corpus in `data`/images."""
    (data / "prompt.txt").write_text("COMPARISON: {comparison}")
    (data / "lesion.toml").write_text(FINDINGS)
    model = tiny_recipe(data).model.model_dump()
    sequence = {"kind": "attention", "width": 32, "layers": 1, "heads": 2, "dropout": 0.0, "priors": True}
    scope = {"modalities": ["DX"], "body_parts": ["chest"]}
    projector = {"patch_tokens": "all", "hidden": 32, "dropout": 0.0}
    rates = {"encoder": 0.0, "projector": 3e-3, "decoder": 3e-3}
    stage = {"steps": STEPS, "batch_size": 24, "validate_every": STEPS // 4, "checkpoint_metric": "loss"}
    return tiny_recipe(
        data,
        findings="lesion.toml",
        text={
            "prompt": str(data / "prompt.txt"),
            "vocabulary_size": 120,
            "min_word_patients": 1,
            "max_report_tokens": 30,
        },
        model=model | {"sequence": sequence, "scope": scope, "projector": projector},
        stage=stage | {"rates": rates, "cached_features": 1},
    )


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> list[Drafted]:
    data = tmp_path_factory.mktemp("data")
    pairs = write_pairs(data / "images", pairs={"train": 480, "val": 24, "test": 60})
    drafter = Drafter.load(train(recipe_of(data), data / "run", resume=False, on_step=lambda _: None))
    found = []
    for pair in pairs["test"]:
        study, prior = read_study(pair.present), PriorStudy(read_study(pair.prior), days_earlier=pair.days)
        requests = DraftRequest(study, priors=(prior,)), DraftRequest(study)
        found.append(Drafted(pair, *(drafter.draft(request, decoding=GREEDY) for request in requests)))
    return found


def text_of(report: Report, name: SectionName = SectionName.FINDINGS) -> str:
    return " ".join(section.text for section in report.sections if section.name is name)


def test_drafts_with_a_prior_study_state_the_drawn_change(drafted: list[Drafted]) -> None:
    """A model that does not read the prior study is right in half of the pairs at most: of new, larger, smaller and
    unchanged lesions, which look alike now, in a quarter."""
    correct = [stated_change(text_of(one.compared)) is one.pair.change for one in drafted]
    assert sum(correct) >= 0.95 * len(drafted)
    assert {one.pair.change for one in drafted} == {None, *ChangeState}
    for one in drafted:
        day = "day" if one.pair.days == 1 else "days"
        expected = f"Chest radiograph, {one.pair.days} {day} earlier."
        assert text_of(one.compared, SectionName.COMPARISON).startswith(expected)


def test_drafts_without_a_prior_study_compare_with_nothing(drafted: list[Drafted]) -> None:
    texts = [text_of(one.alone) for one in drafted]
    assert not any(map(mentions_prior, texts))
    assert not any(text_of(one.alone, SectionName.COMPARISON) for one in drafted)
    removed = "compare with an earlier study without support"
    assert not any(removed in notice for one in drafted for notice in one.alone.notices)  # nothing had to be removed
    present = [one.pair.change is not None and one.pair.change.is_present for one in drafted]
    correct = [text == ALONE[now] for text, now in zip(texts, present, strict=True)]
    assert sum(correct) >= 0.95 * len(drafted)


def test_no_comparison_contradicts_the_states_of_the_finding(drafted: list[Drafted]) -> None:
    for one in drafted:
        ((name, state),) = ((finding.name, finding.state) for finding in one.compared.findings)
        change = stated_change(text_of(one.compared))
        assert name == FINDING
        assert change is None or change.is_present == (state == "present")
        assert one.compared.provenance.comparison is not None
        assert one.compared.provenance.comparison.method.startswith("states of the findings in both studies")


def test_a_model_that_would_read_priors_in_drafting_only_is_refused(tmp_path: Path) -> None:
    write_png(tmp_path / "images" / "a.png", noise_image())
    write_manifest(tmp_path / "images", [{"study_id": "a", "images": ["a.png"], "findings": "No lung nodule."}])
    with pytest.raises(CorpusError, match="no training study has images of a prior study; mark them in the column"):
        train(recipe_of(tmp_path), tmp_path / "run", resume=False, on_step=lambda _: None)
