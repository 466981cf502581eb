"""A model conditioned by numbers: from cached features of a frozen encoder to drafts that depend on the image."""

from __future__ import annotations

from pathlib import Path

from report_gen_training.engine.session import train
from report_gen_training.recipe.schema import Recipe

from report_gen.drafting import Drafter
from report_gen.generation import Decoding
from report_gen.imaging import read_study
from tests.builders import CORNERS, noise_image, tiny_recipe, write_manifest, write_png


def recipe(data: Path) -> Recipe:
    stage = {
        "steps": 150,
        "validate_every": 150,
        "indication_dropout": 1.0,
        "cached_features": 1,
        "finding_weight": 0.0,
        "rates": {"decoder": 8e-3},
    }
    model = tiny_recipe(data).model.model_dump()
    model["projector"] |= {"numbers": 4, "decimals": 1}
    model["decoder"] |= {"positions": 200}
    return tiny_recipe(data, stage=stage, model=model | {"conditioning": "numbers"})


def write_noise_corpus(data: Path) -> None:
    """Each report has its own texture: features pooled over patches do not show in which corner an object is."""
    rows = []
    for seed, (findings, impression) in enumerate(CORNERS):
        write_png(data / "images" / f"{seed}.png", noise_image(seed))
        row = {"images": [f"{seed}.png"], "findings": findings, "impression": impression}
        rows += [row | {"study_id": f"{split}-{seed}", "split": split} for split in ("train", "val")]
    write_manifest(data / "images", rows)


def test_an_overfitted_model_writes_each_report_from_its_numbers(tmp_path: Path) -> None:
    """Only the images differ between the studies, so correct drafts prove that the decoder uses the numbers."""
    write_noise_corpus(tmp_path)
    drafter = Drafter.load(train(recipe(tmp_path), tmp_path / "run", resume=False, on_step=lambda _: None))
    for seed, sections in enumerate(CORNERS):
        draft = drafter.draft(read_study(tmp_path / "images" / f"{seed}.png"), decoding=Decoding())
        assert tuple(section.text for section in draft.sections) == sections
