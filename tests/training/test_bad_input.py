"""Mistakes in a recipe or a corpus end in one sentence that names the place and the remedy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report_gen_training.engine.session import train
from report_gen_training.recipe.loading import load_recipe

from report_gen.errors import RecipeError, ReportGenError
from tests.builders import SIZE, write_corner_corpus, write_manifest

RECIPE = f"""
name = "tiny"
precision = "fp32"
data = "DATA"
text = {{ vocabulary_size = 200, max_report_tokens = 60, sections = ["FINDINGS"] }}
corpora = [{{ name = "images", path = "images" }}]

[model]
encoder = {{ name = "test_vit", image_size = {SIZE}, channels = 1, arguments = {{ img_size = {SIZE} }} }}
decoder = {{ width = 32, layers = 1, heads = 2, positions = 160 }}

[[stages]]
name = "all"
corpora = ["images"]
steps = 4
batch_size = 4
rates = {{ decoder = 1e-3 }}
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corner_corpus(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def data(whole: Path, tmp_path: Path) -> Path:
    """A copy of the corpus, to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "data"))


def failure(data: Path, recipe: str = RECIPE, *settings: str) -> tuple[int, str]:
    """Return exit code and message of a run of a recipe on the corpus in `data`."""
    path = data / "recipe.toml"
    path.write_text(recipe.replace("DATA", str(data)), encoding="utf-8")
    with pytest.raises(ReportGenError) as raised:
        train(load_recipe(str(path), settings), data / "run", resume=False, on_step=lambda _: None)
    assert "\n" not in str(raised.value)
    return raised.value.exit_code, str(raised.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["stages.0.stepps=3"], "unknown key 'stages.0.stepps'; did you mean 'steps'?"),
        (["steps=6"], "unknown key 'steps'; did you mean 'stages.0.steps'?"),
        (["image_size=64"], "unknown key 'image_size'; did you mean 'model.encoder.image_size'?"),
        (["decoder=1e-3"], "did you mean 'stages.0.rates.decoder' or 'model.decoder'?"),
        (["stages.0.steps=0"], "stages.0.steps: Input should be greater than or equal to 1"),
        (["stages.0.batch_size=many"], "stages.0.batch_size: Input should be a valid integer"),
        (['stages.0.corpora=["image"]'], "stage 'all': no corpus 'image'; choose from images"),
        (["stages.0.rates.decoder=0"], "stage 'all' trains nothing; set one of its rates above 0"),
        (["stages.3.steps=1"], "the recipe has no such key"),
        (["model.decoder.heads=5"], "5 heads cannot share a width of 32"),
        (["model.lora.rank=4"], "lora needs a pretrained decoder; set decoder_weights, or remove lora"),
        (["model.decoder.positions=40"], "but the decoder has 40; lower text.max_report_tokens"),
        (["model.encoder_weights=none.safetensors"], "none.safetensors: encoder weights cannot be read"),
        (["text.prompt=none.txt"], "none.txt: no such prompt"),
        (
            ["stages.0.cached_features=1", "stages.0.rates.encoder=1e-3"],
            "stage 'all': cached_features needs a frozen encoder, but rates.encoder is above 0; remove cached_features",
        ),
        (
            ["corpora.0.use_images=false", "stages.0.rates={projector = 1e-3}"],
            "stage 'all': reports without images train only the decoder, which is frozen here; set rates.decoder",
        ),
        (["corpora.0.path=missing"], "missing: no such file or folder"),
        (["corpora.0.layout=nope"], "unknown corpus layout 'nope'; choose from"),
        (
            ["text.vocabulary_size=20"],
            "pieces cannot represent the characters of these texts; raise text.vocabulary_size",
        ),
    ],
)
def test_a_recipe(data: Path, settings: list[str], message: str) -> None:
    _, sentence = failure(data, RECIPE, *settings)
    assert message in sentence


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["model.encoder.name=vit_nope"], "timm has no encoder 'vit_nope'"),
        (["model.encoder.arguments={img_size = 16, num_heads = 5}"], "model: timm cannot build the encoder 'test_vit'"),
        (
            ['model.decoder.transformer={model_type = "llama", hidden_size = 33, num_attention_heads = 2}'],
            "transformers cannot build a decoder 'llama'",
        ),
    ],
)
def test_a_model_that_cannot_be_built_is_a_fault_of_the_recipe(data: Path, settings: list[str], message: str) -> None:
    code, sentence = failure(data, RECIPE, *settings)
    assert code == RecipeError.exit_code
    assert message in sentence


def test_a_recipe_that_is_not_toml(data: Path) -> None:
    code, sentence = failure(data, 'name = "tiny\n')
    assert code == 2
    assert "recipe.toml: not valid TOML (Illegal character" in sentence
    assert "at line 1, column" in sentence


def remove(name: str) -> Callable[[Path], None]:
    return lambda images: (images / name).unlink()


def spoil(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda images: (images / name).write_bytes(content)


def rewrite(**changes: str) -> Callable[[Path], None]:
    def change(images: Path) -> None:
        rows = [json.loads(line) for line in (images / "manifest.jsonl").read_text().splitlines()]
        write_manifest(images, [row | changes for row in rows])

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove("train-2.png"), "1 of 12 images are missing: "),
        (spoil("train-2.png", b"\x89PNG\r\n\x1a\n" + bytes(40)), "train-2.png: the image is broken or truncated"),
        (spoil("train-2.png", b""), "train-2.png: the image is broken or truncated"),
        (spoil("manifest.jsonl", b"{\n"), "manifest.jsonl: line 1 is not valid JSON"),
        (rewrite(split="val"), "no report text to learn a vocabulary from"),
    ],
)
def test_a_corpus(data: Path, damage: Callable[[Path], Any], message: str) -> None:
    damage(data / "images")
    code, sentence = failure(data)
    assert code == 3
    assert message in sentence


def test_a_corpus_whose_reports_are_empty(data: Path) -> None:
    rewrite(findings="XXXX XXXX.", impression="")(data / "images")
    _, sentence = failure(data)
    assert "images without reports train only encoder, projector and heads, which are frozen" in sentence
    shutil.rmtree(data / "run")
    code, sentence = failure(data, RECIPE, "corpora.0.use_images=false")
    assert code == 3
    assert "no study of the corpus 'images' is left; relax text.sections" in sentence


def test_a_corpus_without_training_studies(data: Path) -> None:
    """The vocabulary comes from another corpus, so that the stage reports the problem."""
    report = {"findings": "Clear lungs.", "impression": "Normal chest."}
    write_manifest(data / "other", [{"study_id": "1", "split": "val"} | report])
    settings = [
        'corpora=[{name="images",path="images"},{name="other",path="other",use_images=false}]',
        'stages.0.corpora=["other"]',
    ]
    code, sentence = failure(data, RECIPE, *settings)
    assert code == 3
    assert sentence == "stage 'all': no training studies in other; check the splits"


def test_a_corpus_without_images_is_refused_and_the_folder_can_be_used_again(data: Path) -> None:
    write_manifest(data / "images", [{"id": "1", "bild": "a.png", "findings": "The lungs are clear."}])
    for _ in range(2):
        code, message = failure(data)
        assert code == 3
        assert "no study of the corpus 'images' has an image" in message
        assert "columns = { image =" in message


def test_a_missing_image_stops_a_run_unless_it_is_to_be_left_out(data: Path) -> None:
    next((data / "images").glob("train-*.png")).unlink()
    assert "1 of 12 images are missing" in failure(data)[1]
    (data / "recipe.toml").write_text(RECIPE.replace("DATA", str(data)), encoding="utf-8")
    recipe = load_recipe(str(data / "recipe.toml"), ["unreadable=leave-out"])
    assert train(recipe, data / "run", resume=False, on_step=lambda _: None).is_dir()
