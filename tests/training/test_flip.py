"""The sides of a draft come from the image: a flipped chest gets the other side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
from report_gen_training.engine.session import train
from report_gen_training.recipe.loading import load_recipe

from report_gen.corpora import read_corpus
from report_gen.drafting import Drafter
from report_gen.generation import Decoding
from report_gen.imaging import read_study
from report_gen.labeling import locate_findings
from report_gen.phantom import write_phantom_corpus
from report_gen.records import UNKNOWN_LOCATION, Report, Side

EFFUSION = "Pleural Effusion"


def stated_side(report: Report) -> Side:
    text = " ".join(section.text for section in report.sections)
    return locate_findings(text).get(EFFUSION, UNKNOWN_LOCATION).side


def test_a_flipped_image_flips_the_side_in_the_draft(tmp_path: Path) -> None:
    """The recipe phantom with half of its studies, always with locations; training images are never flipped."""
    corpus = write_phantom_corpus(tmp_path / "phantoms", studies=120)
    stage = {"steps": 400, "validate_every": 400, "validation_drafts": 1, "state_dropout": 0, "location_dropout": 0}
    settings = [f'data="{tmp_path}"', *(f"stages.0.{key}={value}" for key, value in stage.items())]
    checkpoint = train(load_recipe("phantom", settings), tmp_path / "run", resume=False, on_step=lambda _: None)
    drafter, decoding = Drafter.load(checkpoint), Decoding(max_tokens=60)
    rows = [row for row in read_corpus(corpus) if row["split"] == "test"]
    sides = [locate_findings(row["findings"]).get(EFFUSION, UNKNOWN_LOCATION).side for row in rows]
    right_side, flipped = 0, 0
    for row, side in zip(rows, sides, strict=True):
        if side is Side.UNKNOWN:
            continue
        path = Path(row["images"][0])
        mirror = tmp_path / "mirror" / path.name
        mirror.parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(np.asarray(PIL.Image.open(path))[:, ::-1].copy()).save(mirror)
        own, other = (stated_side(drafter.draft(read_study(one), decoding=decoding)) for one in (path, mirror))
        right_side += own is side
        flipped += {own, other} == {Side.LEFT, Side.RIGHT}
    effusions = sum(side is not Side.UNKNOWN for side in sides)
    assert effusions >= 12
    assert right_side >= 0.9 * effusions
    assert flipped >= 0.9 * effusions
