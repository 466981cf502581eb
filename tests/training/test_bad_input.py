"""What a user gets wrong in a recipe or a corpus ends in one sentence that names the place and the remedy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report_gen_training.engine.session import train
from report_gen_training.recipe.loading import load_recipe

from report_gen.errors import ReportGenError
from tests.builders import SIZE, write_corner_corpus, write_manifest

RECIPE = f"""
name = "tiny"
precision = "fp32"
data = "DATA"
text = {{ vocabulary_size = 200, longest = 60, sections = ["FINDINGS"] }}
corpora = [{{ name = "films", path = "films" }}]

[model]
encoder = {{ name = "test_vit", image_size = {SIZE}, channels = 1, arguments = {{ img_size = {SIZE} }} }}
decoder = {{ width = 32, layers = 1, heads = 2, positions = 160 }}

[[stages]]
name = "all"
corpora = ["films"]
steps = 4
batch_size = 4
rates = {{ decoder = 1e-3 }}
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corner_corpus(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def data(whole: Path, tmp_path: Path) -> Path:
    """A corpus to be spoiled."""
    return Path(shutil.copytree(whole, tmp_path / "data"))


def complaint(data: Path, recipe: str = RECIPE, *settings: str) -> tuple[int, str]:
    """Exit code and sentence of a training to a recipe for the corpus in `data`."""
    path = data / "recipe.toml"
    path.write_text(recipe.replace("DATA", str(data)), encoding="utf-8")
    with pytest.raises(ReportGenError) as refusal:
        train(load_recipe(str(path), settings), data / "run", resume=False, on_step=lambda _: None)
    assert "\n" not in str(refusal.value)
    return refusal.value.exit_code, str(refusal.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["stages.0.stepps=3"], "unknown key 'stages.0.stepps'; did you mean 'steps'?"),
        (["stages.0.steps=0"], "stages.0.steps: Input should be greater than or equal to 1"),
        (["stages.0.batch_size=many"], "stages.0.batch_size: Input should be a valid integer"),
        (['stages.0.corpora=["film"]'], "stage 'all' names the corpus 'film'; there are films"),
        (["stages.0.rates.decoder=0"], "stage 'all' learns nothing; give one of its rates"),
        (["stages.3.steps=1"], "the recipe has no such place"),
        (["model.decoder.heads=5"], "5 heads cannot share a width of 32"),
        (["model.lora.rank=4"], "lora adapts a pretrained decoder; name one in decoder_weights, or leave lora out"),
        (["model.decoder.positions=40"], "but the decoder has 40; lower text.longest"),
        (["model.encoder_weights=none.safetensors"], "none.safetensors: encoder weights cannot be read"),
        (["text.prompt=none.txt"], "none.txt: no such prompt"),
        (
            ["stages.0.cached_features=1", "stages.0.rates.encoder=1e-3"],
            "stage 'all': the encoder learns, so its features cannot be kept; leave cached_features out",
        ),
        (
            ["corpora.0.use_images=false", "stages.0.rates={projector = 1e-3}"],
            "stage 'all': reports without images teach the decoder alone, which is frozen; give rates.decoder",
        ),
        (["corpora.0.path=missing"], "missing: no such file or folder"),
        (["corpora.0.layout=nope"], "unknown corpus layout 'nope'; choose from"),
        (["model.encoder.name=vit_nope"], "timm does not know the encoder 'vit_nope'"),
        (["text.vocabulary_size=20"], "pieces cannot hold the characters of these texts; allow more"),
    ],
)
def test_a_recipe(data: Path, settings: list[str], said: str) -> None:
    _, sentence = complaint(data, RECIPE, *settings)
    assert said in sentence


def test_a_recipe_that_is_not_toml(data: Path) -> None:
    code, sentence = complaint(data, 'name = "tiny\n')
    assert code == 2
    assert "recipe.toml: not TOML (Illegal character" in sentence
    assert "at line 1, column" in sentence


def remove(name: str) -> Callable[[Path], None]:
    return lambda films: (films / name).unlink()


def spoil(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda films: (films / name).write_bytes(content)


def rewrite(**changes: str) -> Callable[[Path], None]:
    def change(films: Path) -> None:
        rows = [json.loads(line) for line in (films / "manifest.jsonl").read_text().splitlines()]
        write_manifest(films, [row | changes for row in rows])

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (remove("train-2.png"), "train-2.png: the first of 1 missing images"),
        (spoil("train-2.png", b"\x89PNG\r\n\x1a\n" + bytes(40)), "train-2.png: the image is broken or truncated"),
        (spoil("train-2.png", b""), "train-2.png: the image is broken or truncated"),
        (spoil("manifest.jsonl", b"{\n"), "manifest.jsonl: line 1 is not valid JSON"),
        (rewrite(split="val"), "No report text to learn a vocabulary from"),
    ],
)
def test_a_corpus(data: Path, damage: Callable[[Path], Any], said: str) -> None:
    damage(data / "films")
    code, sentence = complaint(data)
    assert code == 3
    assert said in sentence


def test_a_corpus_whose_reports_are_empty(data: Path) -> None:
    rewrite(findings="XXXX XXXX.", impression="")(data / "films")
    _, sentence = complaint(data)
    assert "images without reports teach the heads and what stands before them, which are frozen" in sentence
    shutil.rmtree(data / "run")
    code, sentence = complaint(data, RECIPE, "corpora.0.use_images=false")
    assert code == 3
    assert "nothing is left of the corpus 'films'; loosen its text settings" in sentence


def test_a_corpus_of_which_no_split_is_for_training(data: Path) -> None:
    """Its vocabulary comes from another corpus, so that the stage is what finds out."""
    report = {"findings": "Clear lungs.", "impression": "Normal chest."}
    write_manifest(data / "other", [{"study_id": "1", "split": "val"} | report])
    settings = ['corpora=[{name="films",path="films"},{name="other",path="other"}]', 'stages.0.corpora=["other"]']
    code, sentence = complaint(data, RECIPE, *settings)
    assert code == 3
    assert sentence == "stage 'all': no training studies in other; check the splits"
