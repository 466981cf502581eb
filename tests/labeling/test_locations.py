"""Locations of findings, on sentences whose locations were written before the labeler read them."""

from __future__ import annotations

import csv
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_gen_training.benchmarks.labeler_agreement import count_locations
from report_gen_training.benchmarks.labeler_codings import CodedReport, read_mesh

from report_gen.labeling import chest_xray, find_mentions, label_findings, load_schema, locate_findings
from report_gen.labeling.phrases import build_vocabulary
from report_gen.records import UNKNOWN_LOCATION, FindingLocation, FindingState, Side, Zone

WRONG = {
    # The labeler takes the comma for a list of denied findings.
    "Right internal jugular catheter, no pneumothorax, basilar atelectasis.",
    # "Fluid in the fissure" is an effusion for the labeler, but not with a verb.
    "Fluid is present in the right minor fissure.",
}


def read_rows() -> list[dict[str, str]]:
    with Path(__file__).with_name("located_findings.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


ROWS = read_rows()


def located(text: str) -> dict[str, str]:
    """Return the known locations in a text in the form of the table: side, then zones."""
    return {name: describe(place) for name, place in locate_findings(text).items() if place.known}


def describe(location: FindingLocation) -> str:
    return " ".join([location.side, *(zone for zone in Zone if zone in location.zones)])


@pytest.mark.parametrize("row", [row for row in ROWS if row["text"] not in WRONG], ids=lambda row: row["text"])
def test_the_locations_of_a_sentence(row: dict[str, str]) -> None:
    expected = dict(cell.split(": ") for cell in row["locations"].split("; ") if cell)
    assert located(row["text"].replace("\\n", "\n")) == expected


@pytest.mark.parametrize(
    ("text", "locations"),
    [
        # a list goes on, or another clause begins
        (
            "Opacities at the left base and at both apices are suspicious for pneumonia.",
            "both upper lower|both upper lower",
        ),
        ("Opacity in the right base, and in the left base there is effusion.", "right lower|left lower"),
        ("The lungs are hazy on the left, although there is opacity at the right base.", "right lower"),
        ("Opacities in the right mid and both lower lungs.", "both mid lower"),
        ("Edema as well as bibasal worsening of consolidations.", "unknown|both lower"),
        ("There is diffuse vascular plethora, effusion.", "unknown"),
        ("Left upper-to-mid lung opacity.", "left upper mid"),
        ("Effusions, moderate on the right and small on the left.", "both"),
        ("Small effusions.", "both"),
        ("Small left effusions.", "left"),
        ("Opacities are seen both on frontal and lateral views in the left lung.", "left"),
        ("Effusions, larger on the left.", "both"),
        # explanations
        ("Left opacity, although pneumonia cannot be excluded.", "left|left"),
        ("Left base opacity, but pneumonia should also be considered.", "left lower|left lower"),
        ("Left base opacity, though pneumonia or aspiration cannot be excluded.", "left lower|left lower"),
        ("Left base opacity but cannot exclude pneumonia.", "left lower|left lower"),
        ("Right basal opacity, mostly atelectasis.", "right lower|right lower"),
        ("Left consolidation, either pneumonia or atelectasis.", "left|left|left"),
        ("Right opacity due to a combination of edema, pneumonia and atelectasis.", "right|right|right|right"),
        ("Right base opacity XXXX atelectasis.", "right lower|right lower"),
        # exceptions and contrasts
        ("Right lung is clear apart from an apical nodule.", "right upper"),
        ("Clear left lung other than basilar atelectasis.", "left lower"),
        ("No nodule in the right lung but the left lung shows basal effusion.", "left lower"),
        # joined findings
        ("Left effusion and edema.", "left|unknown"),
        ("Left effusion and small nodule.", "left|unknown"),
        ("Left base areas of atelectasis.", "left lower"),
        ("Right upper lobe fibronodular opacity.", "right upper"),
        # no places
        ("Right base scarring. Opacity.", "unknown"),
        ("Left retained bullet. Nodule.", "unknown"),
        ("Opacities with flattening at the upper limits of normal.", "unknown"),
    ],
)
def test_kinds_of_sentences_found_by_reading(text: str, locations: str) -> None:
    """Kinds that the labeler read wrong in reports of others, in own words. One location per finding, in text order."""
    found = {mention.finding: mention.start for mention in find_mentions(text)}
    places = locate_findings(text)
    assert [describe(places[name]) for name in sorted(places, key=lambda name: found[name])] == locations.split("|")


def test_the_table_has_every_kind() -> None:
    assert Counter(row["held out"] for row in ROWS) == {"": 178, "yes": 76, "second": 60}
    named = " ".join(row["locations"] for row in ROWS)
    assert all(part in named for part in (*Side, *Zone))


ONE_SIDED = re.compile(r"lingul|middle lobe|rml|retrocardiac|behind|minor fissure", re.IGNORECASE)
SWAPS = {"left": "right", "l": "r", "lt": "rt", "lul": "rul", "lll": "rll", "leftward": "rightward"}
SWAPPED = SWAPS | {right: left for left, right in SWAPS.items()}


def swap_sides(text: str) -> str:
    return re.sub(r"[A-Za-z]+", lambda word: SWAPPED.get(word[0].lower(), word[0]), text)


def test_swapped_sides_give_swapped_locations() -> None:
    """Nothing but the words decides on the side. Anatomies of one side are left out."""
    rows = [row["text"].replace("\\n", "\n") for row in ROWS if not ONE_SIDED.search(row["text"])]
    assert [
        text
        for text in rows
        if located(swap_sides(text)) != {name: swap_sides(place) for name, place in located(text).items()}
    ] == []


@pytest.mark.parametrize("spell", [str.lower, str.upper, lambda text: re.sub(r"\s*([.,;:?])", r" \1", text)])
def test_case_and_spaces_before_full_stops_make_no_difference(spell: Callable[[str], str]) -> None:
    texts = [row["text"] for row in ROWS if "\\n" not in row["text"] and row["kind"] != "topic"]
    assert [text for text in texts if located(spell(text)) != located(text)] == []


def test_present_and_uncertain_findings_have_a_location() -> None:
    text = "No left pneumothorax. Right effusion, possibly pneumonia. Clear lungs. Heart enlarged."
    assert locate_findings(text) == {
        "Cardiomegaly": UNKNOWN_LOCATION,
        "Pneumonia": FindingLocation(Side.RIGHT),
        "Pleural Effusion": FindingLocation(Side.RIGHT),
    }


def test_locations_belong_to_the_labels() -> None:
    for row in ROWS:
        text = row["text"].replace("\\n", "\n")
        positive = (FindingState.PRESENT, FindingState.UNCERTAIN)
        labels = label_findings(text)
        assert set(locate_findings(text)) == {name for name in chest_xray().stated if labels[name] in positive}


def test_a_schema_of_another_body_part_has_sides(tmp_path: Path) -> None:
    file = tmp_path / "head.toml"
    file.write_text(
        'name = "head_ct"\n[[finding]]\nname = "Hemorrhage"\nphrases = ["hemorrhage*", "subdural hematoma*"]\n'
        '[[finding]]\nname = "Shift"\npaired = false\nphrases = ["midline shift"]\n'
    )
    found = locate_findings("Left subdural hematoma with midline shift to the right.", load_schema(file))
    assert found == {"Hemorrhage": FindingLocation(Side.LEFT), "Shift": UNKNOWN_LOCATION}


def test_denied_mentions_and_devices_keep_their_side_for_audits() -> None:
    mentions = find_mentions("No left pneumothorax. Right chest tube.")
    assert [mention.location.side for mention in mentions] == [Side.LEFT, Side.RIGHT]


@given(
    st.text(st.sampled_from("left right no base and effusion upper , . : nodule lobe ") | st.characters(), max_size=80)
)
def test_any_text_can_be_read(text: str) -> None:
    assert set(locate_findings(text)) <= set(chest_xray().stated)


@pytest.mark.parametrize(
    "words",
    [
        "upper and left ",
        "left effusion, right nodule and ",
        "the left lung shows opacity, likely ",
        "effusion at the base, ",
    ],
)
def test_long_sentences_take_linear_time(words: str) -> None:
    started = time.process_time()
    locate_findings(words * (60_000 // len(words)))
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("words", "places"),
    [
        ("the left upper and right lower lobes", ["left", "upper", "right", "lower lobes"]),
        ("upper limits of normal", []),
        ("the upper left lung", ["upper", "left"]),
        ("upper abdomen, left base", ["left", "base"]),
        ("left lateral decubitus", []),
        ("compared with the left", []),
        ("mediastinal shift to the right", []),
        ("r/o edema on the r", ["r"]),
        ("right atrium", []),
        ("both pneumonia and edema", []),
        ("both lungs", ["both lungs"]),
    ],
)
def test_places_of_a_sentence(words: str, places: list[str]) -> None:
    found = build_vocabulary(chest_xray()).find_places(words)
    assert [words[place.start : place.end] for place in found] == places


@pytest.mark.realdata
def test_agreement_with_coders(shared: Path) -> None:
    """The coders have other conventions: the lingula stands for "left midlung", the hilum for "suprahilar"."""
    reports = read_mesh(shared / "data" / "iu_xray" / "NLMCXR_reports.tgz")
    locations = [locate_findings(report.text) for report in reports]
    counts = count_locations(reports, locations)
    swapped = [
        (report.text, name)
        for report, found in zip(reports, locations, strict=True)
        for name in report.located.keys() & found.keys()
        if {report.located[name].side, found[name].side} == {Side.LEFT, Side.RIGHT}
    ]
    assert swapped == []
    assert min(counts[side].precision for side in (Side.RIGHT, Side.LEFT)) > 0.95
    assert min(counts[side].recall for side in (Side.RIGHT, Side.LEFT)) > 0.95
    assert counts[Side.BOTH].precision > 0.86
    assert counts[Side.BOTH].recall > 0.90
    assert min(counts[zone].precision for zone in Zone) > 0.82
    assert min(counts[zone].recall for zone in Zone) > 0.85


def test_agreement_counts_sides_and_zones() -> None:
    base = FindingLocation(Side.RIGHT, frozenset({Zone.LOWER}))
    reports = [
        CodedReport(text="", coded={}, located={"Atelectasis": base, "Cardiomegaly": UNKNOWN_LOCATION}),
        CodedReport(text="", coded={}, located={"Atelectasis": base}),
        CodedReport(text="", coded={}, located={"Atelectasis": base}),
    ]
    labels = [
        {"Atelectasis": base, "Cardiomegaly": base},  # the heart has no location
        {"Atelectasis": FindingLocation(Side.LEFT, frozenset({Zone.LOWER, Zone.UPPER}))},
        {"Edema": base},  # the code names another finding
    ]
    counts = count_locations(reports, labels)
    numbers = {part: (one.both, one.labeled_only, one.coded_only) for part, one in counts.items()}
    assert numbers == {
        "right": (1, 0, 1),
        "left": (0, 1, 0),
        "both": (0, 0, 0),
        "upper": (0, 1, 0),
        "mid": (0, 0, 0),
        "lower": (2, 0, 0),
    }
