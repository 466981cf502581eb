"""Tests of the descriptions of published models that come with the package."""

from __future__ import annotations

import re
from importlib.resources.abc import Traversable

import pytest
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from report_gen.backends import built_in_descriptions, load_description
from report_gen.backends.hub_loading import ENCODER_DECODER, IMAGE_TEXT
from report_gen.prompting import PromptValues

HUB = [name for name in built_in_descriptions() if load_description(name).settings.backend != "endpoint"]


def test_the_models_of_a_hub() -> None:
    assert HUB == ["llava_med", "medgemma", "paligemma2", "qwen2_5_vl", "vit_gpt2"]


@pytest.mark.parametrize("name", HUB)
def test_a_description_names_an_architecture_that_its_backend_loads(name: str) -> None:
    file: Traversable = built_in_descriptions()[name]
    found = re.search(r"^# Architecture: (\w+) of transformers \(model_type (\S+)\)\.$", file.read_text(), re.MULTILINE)
    assert found is not None
    assert MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES[found[2]] == found[1]
    backend = load_description(name).settings.backend
    assert found[2] in {"image-text": IMAGE_TEXT, "encoder-decoder": {ENCODER_DECODER}}[backend]


@pytest.mark.parametrize("name", HUB)
def test_a_description_says_what_a_user_must_know(name: str) -> None:
    text = built_in_descriptions()[name].read_text(encoding="utf-8")
    description = load_description(name)
    assert "was not run with report-gen" in text
    assert description.settings.license
    assert description.settings.notice
    assert description.settings.scope.modalities == ("CR", "DX", "RG")
    assert description.prompt.messages(PromptValues(), ())[-1].text
