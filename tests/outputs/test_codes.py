"""The table of codes, compared with the dictionaries of pydicom."""

from __future__ import annotations

import pytest
from pydicom.sr import _concepts_dict

from report_gen.labeling import chest_xray
from report_gen.outputs import codes
from report_gen.outputs.codes import Code, finding_code, finding_site
from report_gen.records import FindingState, SectionName, Side, Zone

FROM_ELSEWHERE = {"8186001", "95436008", "233604007", "46621007", "RID4650", "87433001", "51615001", "30745-4"}
"""Codes that are not in PS3.16; the comments of the table name their sources."""


def meanings(code: Code) -> set[str]:
    """Return the meanings that pydicom gives for a code, in lower case and without the semantic tag of SNOMED CT."""
    concepts = _concepts_dict.concepts[code.scheme].values()
    found = {entry[code.value][0] for entry in concepts if code.value in entry}
    return {meaning.partition(" (")[0].lower() for meaning in found}


def all_codes() -> list[Code]:
    tables = (codes.SECTIONS, codes.SENTENCES, codes.STATES, codes.SIDES, codes.ZONES, codes.PROCEDURES)
    single = [value for value in vars(codes).values() if isinstance(value, Code)]
    findings = [code for name in chest_xray().findings if (code := finding_code(name))]
    return [*single, *(code for table in tables for code in table.values()), *findings]


@pytest.mark.parametrize("code", {code.value: code for code in all_codes()}.values(), ids=lambda code: code.value)
def test_a_code_has_the_meaning_that_pydicom_gives(code: Code) -> None:
    if code.value in FROM_ELSEWHERE:
        assert not meanings(code)
    else:
        assert code.meaning.lower() in meanings(code)


def test_every_state_side_zone_section_and_site_has_a_code() -> None:
    assert set(codes.STATES) == set(FindingState)
    assert set(codes.SIDES) == set(Side) - {Side.UNKNOWN}
    assert set(codes.ZONES) == set(Zone)
    assert set(codes.SECTIONS) == set(codes.SENTENCES) == set(SectionName)
    assert all(finding_site(name) for name in chest_xray().stated)


def test_two_findings_never_share_a_code() -> None:
    found = [code for name in chest_xray().findings if (code := finding_code(name))]
    assert len(set(found)) == len(found) == 11


def test_a_finding_of_another_schema_has_no_code() -> None:
    assert finding_code("Hemorrhage") is None
    assert finding_site("Hemorrhage") is None
