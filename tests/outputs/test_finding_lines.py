"""Lines of findings, written and read back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from report_gen.outputs.finding_lines import describe_finding, parse_finding
from report_gen.records import UNKNOWN_LOCATION, Finding, FindingLocation, FindingState, Side, Zone

NAMES = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1).map(
    lambda text: " ".join(text.split())
)
LOCATIONS = st.builds(FindingLocation, st.sampled_from(Side), st.frozensets(st.sampled_from(Zone)))
HUNDREDTHS = st.integers(1, 99).map(lambda number: number / 100)


@given(
    st.builds(
        Finding,
        name=NAMES.filter(bool),
        state=st.sampled_from(FindingState),
        probability=st.none() | HUNDREDTHS,
        overridden=st.booleans(),
        location=LOCATIONS,
        location_overridden=st.booleans(),
        means_normal=st.booleans(),
    )
)
def test_a_line_is_read_back(finding: Finding) -> None:
    found = parse_finding(describe_finding(finding))
    is_located = finding.state.is_stated and not finding.means_normal
    assert found == Finding(
        name=finding.name,
        state=finding.state,
        probability=finding.probability,
        overridden=finding.overridden,
        location=finding.location if is_located else UNKNOWN_LOCATION,
        location_overridden=finding.location_overridden and is_located,
        means_normal=finding.means_normal,
    )


def test_a_normal_study_is_no_ordinary_finding() -> None:
    normal = Finding(name="No Finding", state=FindingState.PRESENT, probability=0.75, means_normal=True)
    assert describe_finding(normal) == "No Finding (normal study): present; probability 0.75."


def test_other_text_is_no_finding() -> None:
    assert parse_finding("No pneumothorax.") is None
    assert parse_finding("Heart: normal in size") is None
