"""Conditioning on real studies: an overfitted model writes each study's report from its images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_gen_training.data.studies import open_corpus, read_studies
from report_gen_training.engine.session import train
from report_gen_training.recipe.loading import load_recipe

from report_gen.corpora import read_corpus
from report_gen.drafting import Drafter
from report_gen.evaluation import study_from_row
from report_gen.generation import Decoding
from report_gen.labeling import chest_xray
from report_gen.records import Report, format_report


@pytest.mark.realdata
def test_five_real_studies_are_recognized_by_their_images(shared: Path, tmp_path: Path) -> None:
    recipe = load_recipe("overfit_indiana", [f'data="{shared / "data"}"'])
    checkpoint = train(recipe, tmp_path / "run", resume=False, on_step=lambda _: None)
    corpus, schema = recipe.corpora[0], chest_xray()
    dataset = open_corpus(corpus, recipe, schema=schema, store=tmp_path / "corpora")
    splits = np.array(dataset["split"])
    studies = read_studies(corpus, recipe, tmp_path / "studies", dataset=dataset, splits=splits, schema=schema)
    own = {study.study_id: format_report(study.sections) for study in studies}
    rows = read_corpus(shared / "data" / "iu_xray" / "reports.csv", layout="manifest")
    # The recipe trains without indications, so a draft depends on the images only.
    studies = [replace(study_from_row(row), indication=None) for row in rows]
    drafter = Drafter.load(checkpoint)

    assert _texts(drafter, studies) == list(own.values())
    swapped = [
        replace(study, series=other.series) for study, other in zip(studies, studies[1:] + studies[:1], strict=True)
    ]
    assert _texts(drafter, swapped) == [*list(own.values())[1:], next(iter(own.values()))]


def _texts(drafter: Drafter, studies: list) -> list[str]:
    reports = list(drafter.draft_all(studies, decoding=Decoding(max_tokens=256)))
    assert all(isinstance(report, Report) for report in reports)
    return [format_report(report.sections) for report in reports]
