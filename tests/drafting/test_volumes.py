"""Drafts of volumes: the slices that a model gets, and the models that refuse volumes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from report_gen.drafting import Drafter
from report_gen.errors import StudyError
from report_gen.generation import Decoding
from report_gen.imaging import load_pixels, read_study
from report_gen.model import Checkpoint
from tests.builders import PROMPT, tiny_config, tiny_model, tokenizer
from tests.slice_files import write_slices

BRIEF = Decoding(max_tokens=8)


def drafter(**changes: object) -> Drafter:
    return Drafter.from_checkpoint(Checkpoint(tiny_model(tiny_config(**changes)), tokenizer(), PROMPT, "ab" * 32))


def series(folder: Path, slices: int = 20) -> Path:
    write_slices(folder, [(0, 0, 2 * number) for number in range(slices)], shape=(40, 40), BodyPartExamined="HEAD")
    return folder


def test_a_model_of_volumes_gets_slices_of_a_series(tmp_path: Path) -> None:
    study = read_study(series(tmp_path))
    report = drafter(volumes={"views": 5, "sampling": "even"}).draft(study, decoding=BRIEF)
    assert len(report.provenance.inputs) == 5
    in_order = sorted(study.images, key=lambda image: image.plane.position[2] if image.plane else 0)
    assert [one.sha256 for one in report.provenance.inputs] == [in_order[n].sha256 for n in (0, 4, 9, 14, 19)]
    assert any("5 of 20 axial slices were given to the model" in notice for notice in report.notices)
    assert any("window: brain, C 40 W 80 HU" in notice for notice in report.notices)


def test_the_geometry_of_the_slices_states_their_plane(tmp_path: Path) -> None:
    values = {"name": "plane", "values": ("coronal", "axial")}
    model = drafter(volumes={"views": 4}, attributes=(values,))
    report = model.draft(read_study(series(tmp_path)), decoding=BRIEF)
    (plane,) = report.attributes
    assert (plane.value, plane.from_header) == ("axial", True)


def test_the_order_of_the_files_does_not_matter(tmp_path: Path) -> None:
    study = read_study(series(tmp_path))
    (one,) = study.series
    shuffled = replace(study, series=(replace(one, images=one.images[::-1]),))
    model = drafter(volumes={"views": 4})
    first, second = (model.draft(either, decoding=BRIEF) for either in (study, shuffled))
    assert first.sections == second.sections
    assert first.provenance.inputs == second.provenance.inputs


def test_a_page_shows_the_slices_as_the_model_gets_them(tmp_path: Path) -> None:
    model = drafter(volumes={"views": 4})
    study = read_study(series(tmp_path))
    stages = model.preprocessing_stages(study)
    assert len(stages) == 4
    heatmap = model.attention_map(study)
    (_, shown), *_ = stages[0].stages
    assert (heatmap.image == shown).all()
    assert not (heatmap.image == load_pixels(study.images[0])).all()  # the header has no window


def test_max_views_limits_the_slices(tmp_path: Path) -> None:
    from report_gen.drafting.limits import StudyLimits

    (report,) = drafter(volumes={"views": 8}).draft_all(
        [read_study(series(tmp_path))], decoding=BRIEF, limits=StudyLimits(max_views=2)
    )
    assert not isinstance(report, StudyError)
    assert len(report.provenance.inputs) == 2


def test_a_model_of_single_images_refuses_a_series(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="20 CT images in one study; volumes are not supported"):
        drafter().draft(read_study(series(tmp_path)), decoding=BRIEF)


def test_a_broken_slice_that_was_chosen_refuses_the_study_and_not_the_others(tmp_path: Path) -> None:
    good, broken = read_study(series(tmp_path / "a")), read_study(series(tmp_path / "b"))
    broken.images[0].path.write_bytes(broken.images[0].path.read_bytes()[:-100])
    model = drafter(volumes={"views": 20})
    refused, report = model.draft_all([broken, good], decoding=BRIEF)
    assert isinstance(refused, StudyError)
    assert "truncated" in str(refused)
    assert not isinstance(report, StudyError)
