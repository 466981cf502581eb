"""A run whose model reads numbers: from frozen, cached features to drafts that follow the image."""

from __future__ import annotations

from pathlib import Path

from report_gen_training.engine.session import train
from report_gen_training.recipe.schema import Recipe

from report_gen.drafting.drafter import Drafter
from report_gen.generation import Decoding
from report_gen.imaging.reading import read_study
from tests.builders import CORNERS, picture, tiny_recipe, write_manifest, write_png


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
    """Every report has a texture of its own: in which corner something lies is lost to features pooled over patches."""
    rows = []
    for place, (findings, impression) in enumerate(CORNERS):
        write_png(data / "films" / f"{place}.png", picture(place))
        row = {"images": [f"{place}.png"], "findings": findings, "impression": impression}
        rows += [row | {"study_id": f"{split}-{place}", "split": split} for split in ("train", "val")]
    write_manifest(data / "films", rows)


def test_an_overfitted_model_tells_its_reports_from_the_numbers_alone(tmp_path: Path) -> None:
    """Nothing but the image tells the studies apart, so the right words prove that the numbers are read."""
    write_noise_corpus(tmp_path)
    drafter = Drafter.load(train(recipe(tmp_path), tmp_path / "run", resume=False, on_step=lambda _: None))
    for place, sections in enumerate(CORNERS):
        draft = drafter.draft(read_study(tmp_path / "films" / f"{place}.png"), decoding=Decoding())
        assert tuple(section.text for section in draft.sections) == sections
