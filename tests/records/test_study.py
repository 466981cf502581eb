"""Study records."""

from __future__ import annotations

from pathlib import Path

from report_gen.records import Image, Series, Study, ViewPosition


def image(name: str, view: ViewPosition) -> Image:
    return Image(path=Path(name), sha256="0" * 64, rows=2, columns=3, view_position=view)


def test_only_an_unknown_view_is_replaced() -> None:
    known = Series(images=(image("a", ViewPosition.PA), image("b", ViewPosition.UNKNOWN)), modality="DX")
    other = Series(images=(image("c", ViewPosition.UNKNOWN),))
    study = Study(name="study", series=(known, other), patient_id="1")
    changed = study.with_view(ViewPosition.LATERAL)
    assert [one.view_position for one in changed.images] == ["PA", "LATERAL", "LATERAL"]
    assert (changed.series[0].modality, changed.name, changed.patient_id) == ("DX", "study", "1")
    assert [one.view_position for one in study.images] == ["PA", "UNKNOWN", "UNKNOWN"]
