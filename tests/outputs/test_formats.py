"""The registry of output formats."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from report_gen.errors import UsageError
from report_gen.outputs import DraftDocument, format_json, format_names, format_text, get_format
from report_gen.records import Image, Report, Series, Study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    image = Image(path=tmp_path / "a.png", sha256="00" * 32, rows=1, columns=1)
    return Study(name="a", series=(Series(images=(image,)),))


def test_text_and_json_are_registered(report: Report, study: Study) -> None:
    assert format_names() == ("txt", "json", "fhir", "hl7")
    assert get_format("txt").render(DraftDocument(report=report, study=study)).decode() == format_text(report)
    assert get_format("json").render(DraftDocument(report=report, study=study)).decode() == format_json(report)
    assert json.loads(get_format("json").render(DraftDocument(report=report, study=study)))["sections"]


@pytest.mark.parametrize("name", format_names())
def test_each_format_describes_itself(name: str) -> None:
    found = get_format(name)
    assert found.name == name
    assert found.suffix.startswith(".")
    assert found.media_type.count("/") == 1
    assert found.is_text is (name in ("txt", "json", "fhir"))


def test_an_unknown_format_is_refused_with_the_choices() -> None:
    with pytest.raises(UsageError, match=r"'docx'.*txt, json"):
        get_format("docx")
