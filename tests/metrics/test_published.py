"""Published scores of a published model, from its own drafts under the published protocol."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from report_gen.metrics import ScoreOptions, ScoreRun, run_score
from report_gen.metrics.meteor import find_meteor

pytestmark = pytest.mark.realdata

# CvT2DistilGPT2 (Nicolson et al., Artificial Intelligence in Medicine 2023) on the 590 test studies of IU X-Ray.
PUBLISHED = {
    "BLEU-1": 0.4734,
    "BLEU-2": 0.3036,
    "BLEU-3": 0.2240,
    "BLEU-4": 0.1752,
    "ROUGE-L (coco)": 0.3761,
    "CIDEr-D": 0.6941,
}
CONSTANT = {
    "BLEU-1": 0.500,
    "BLEU-2": 0.338,
    "BLEU-3": 0.240,
    "BLEU-4": 0.172,
    "ROUGE-L (coco)": 0.363,
    "CIDEr-D": 0.285,
}


def options(shared: Path) -> ScoreOptions:
    return ScoreOptions(
        predictions=shared / "data/scoring/cvt2distilgpt2_iu_xray_test.csv",
        references=shared / "data/iu_xray/annotation.json",
        preset="r2gen-iu",
        java=False,
    )


@pytest.fixture
def run(shared: Path) -> ScoreRun:
    return run_score(options(shared))


def test_the_published_scores_and_their_baselines(run: ScoreRun) -> None:
    assert {name: round(run.model[name].value, 4) for name in PUBLISHED} == PUBLISHED
    constant = run.baselines[0]
    assert {name: round(constant[name].value, 3) for name in CONSTANT} == CONSTANT
    assert round(run.baselines[1]["BLEU-4"].value, 3) == 0.081
    assert run.model.diversity.distinct == 4
    assert run.verdicts[0].text.startswith("collapsed: 4 different texts for 590 studies")
    assert "does not beat the constant report on BLEU-1 (0.473 against 0.500)" in run.verdicts[1].text
    assert run.fails


def test_intervals_are_as_wide_as_the_protocol_says(run: ScoreRun) -> None:
    for name, half in {"BLEU-4": 0.020, "BLEU-1": 0.015, "ROUGE-L (coco)": 0.014}.items():
        low, high = run.model[name].interval
        assert (high - low) / 2 == pytest.approx(half, abs=0.002)


@pytest.mark.parametrize(
    ("change", "bleu4"),
    [
        ({'[vocabulary]\nmin_count = 3\nunknown = "<unk>"': "", "[truncation]": "", "words = 59": ""}, 0.1758),
        (
            {
                'join = " . ", end = " ."': 'join = " ", end = ""',
                '[{ find = ".", put = " ." }]': '[{ find = ".", put = "" }]',
            },
            0.159,
        ),
    ],
)
def test_a_small_change_of_the_preset_changes_the_score(
    shared: Path, tmp_path: Path, change: dict[str, str], bleu4: float
) -> None:
    from importlib import resources

    text = (resources.files("report_gen.metrics") / "presets/r2gen-iu.toml").read_text()
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "changed.toml"
    path.write_text(text)
    run = run_score(replace(options(shared), preset=str(path), draws=0))
    assert run.model["BLEU-4"].value == pytest.approx(bleu4, abs=0.0006)


def test_raw_cased_references_score_a_third_and_are_warned_of(shared: Path, tmp_path: Path) -> None:
    path = tmp_path / "cased.toml"
    path.write_text('[predictions]\nsteps = [{ find = ".", put = " ." }]')
    run = run_score(replace(options(shared), preset=str(path), draws=0))
    assert run.model["BLEU-4"].value == pytest.approx(0.063, abs=0.0006)
    assert any("cased differently" in notice for notice in run.notices)


@pytest.mark.skipif(find_meteor() is None, reason="needs Java and pycocoevalcap")
def test_published_meteor(shared: Path) -> None:
    run = run_score(replace(options(shared), java=True, draws=0))
    assert round(run.model["METEOR 1.5"].value, 4) == 0.1999
    assert round(run.baselines[0]["METEOR 1.5"].value, 3) == 0.224
