"""The labeler, on sentences whose labels were written by hand."""

from __future__ import annotations

import csv
import re
import time
import tomllib
from collections.abc import Callable, Iterator
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report_gen.labeling import Mention, chest_xray, find_mentions, label_findings, labeler, load_schema, sentence_spans
from report_gen.labeling.phrases import build_vocabulary
from report_gen.records import FindingSchema, FindingState, Side

FINDINGS = chest_xray().findings

PIECE = r"(?:\[[^][()]+\]|\([^][()]+\)|[^][()\s]+)"
STATES = ("present", "uncertain", "absent")


def read_table() -> list[dict[str, str]]:
    with Path(__file__).with_name("findings_table.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


TABLE = read_table()


def read_vocabulary(name: str) -> dict[str, Any]:
    return tomllib.loads((files("report_gen.labeling") / "vocabularies" / f"{name}.toml").read_text(encoding="utf-8"))


CUES = read_vocabulary("cues")


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["text"])
def test_the_findings_of_a_sentence(row: dict[str, str]) -> None:
    found = label_findings(row["text"])
    for state in STATES:
        assert {name for name in FINDINGS if found[name] == state} == named(row, state), state


@pytest.mark.parametrize("spell", [str.lower, str.upper, lambda text: re.sub(r"\s*([.,;:?])", r" \1", text)])
def test_case_and_spaces_before_full_stops_make_no_difference(spell: Callable[[str], str]) -> None:
    """Scorers lower the case and set blanks before the stops."""
    differing = [row["text"] for row in TABLE if label_findings(spell(row["text"])) != label_findings(row["text"])]
    assert differing == []


def named(row: dict[str, str], state: str) -> set[str]:
    return set(filter(None, row[state].split("; ")))


def test_the_table_has_every_finding_in_every_state() -> None:
    assert len(TABLE) >= 250
    for state in STATES:
        assert set(chain.from_iterable(named(row, state) for row in TABLE)) == set(FINDINGS), state


def test_labels_come_in_the_order_of_the_findings() -> None:
    assert tuple(label_findings("")) == FINDINGS
    assert set(label_findings("").values()) == {FindingState.NOT_MENTIONED}


REPORT = """INDICATION: Chest pain, rule out pneumothorax.
COMPARISON: Radiograph with a left effusion.
TECHNIQUE: PA and lateral views.

FINDINGS: The heart is enlarged. No pneumothorax.
Small right effusion.

IMPRESSION:
1. Cardiomegaly
2. Small right effusion, possibly with atelectasis
"""


def test_only_findings_and_impression_count() -> None:
    states = {name: state.value for name, state in label_findings(REPORT).items() if state != "not-mentioned"}
    assert states == {
        "No Finding": "absent",
        "Cardiomegaly": "present",
        "Atelectasis": "uncertain",
        "Pneumothorax": "absent",
        "Pleural Effusion": "present",
    }


def test_mentions_point_into_the_text() -> None:
    mentions = find_mentions(REPORT)
    assert [(mention.finding, REPORT[mention.start : mention.end]) for mention in mentions] == [
        ("Cardiomegaly", "enlarged"),
        ("Pneumothorax", "pneumothorax"),
        ("Pleural Effusion", "effusion"),
        ("Cardiomegaly", "Cardiomegaly"),
        ("Pleural Effusion", "effusion"),
        ("Atelectasis", "atelectasis"),
    ]
    assert [mention.implied for mention in mentions] == [True, False, False, False, False, False]


def test_present_has_precedence_over_uncertain_and_uncertain_over_absent() -> None:
    assert label_findings("No effusion. Possible effusion.")["Pleural Effusion"] is FindingState.UNCERTAIN
    assert label_findings("Effusion. No effusion. Possible effusion.")["Pleural Effusion"] is FindingState.PRESENT


@pytest.mark.parametrize(
    ("sentence", "sides"),
    [
        ("Small left effusion.", "L"),
        ("Effusion on the right.", "R"),
        ("Bilateral effusions.", "B"),
        ("Small right and large left effusions.", "B"),
        ("Bibasilar atelectasis.", "B"),
        ("Left effusion and right atelectasis.", "LR"),
        ("Left effusion with atelectasis on the right.", "LR"),
        ("Consolidation of the lingula.", "L"),
        ("Middle lobe pneumonia.", "R"),
        ("Blunting of the left costophrenic angle.", "L"),
        ("No left pneumothorax.", "L"),
        ("Nodule in the left lung.", "L"),
        ("Pneumothorax.", "?"),
        ("Left chest tube.", "L"),
    ],
)
def test_the_side_of_a_mention(sentence: str, sides: str) -> None:
    letters = {Side.LEFT: "L", Side.RIGHT: "R", Side.BOTH: "B", Side.UNKNOWN: "?"}
    assert "".join(letters[mention.location.side] for mention in find_mentions(sentence)) == sides


def test_one_phrase_may_name_two_findings() -> None:
    assert {mention.finding for mention in find_mentions("Hydropneumothorax.")} == {"Pneumothorax", "Pleural Effusion"}


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("No effusion. Heart normal.", ["No effusion.", "Heart normal."]),
        ("no effusion . heart normal .", ["no effusion .", "heart normal ."]),
        ("A 1.5 cm nodule vs. granuloma. Dr. Roe was told.", ["A 1.5 cm nodule vs. granuloma.", "Dr. Roe was told."]),
        ("Small effusion.There is no edema", ["Small effusion.", "There is no edema"]),
        ("No pneumothorax;\nno\neffusion", ["No pneumothorax;", "no\neffusion"]),
        ("Clear lungs\n\nNormal heart", ["Clear lungs", "Normal heart"]),
        ("- Clear lungs\n- Normal heart", ["- Clear lungs", "- Normal heart"]),
        ("History: cough. Findings: Clear.", ["Clear."]),
        ("", []),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences


@given(st.text(st.sampled_from("no effusion left XXXX?.,;:\n-İßé") | st.characters(), max_size=80))
def test_any_text_can_be_read(text: str) -> None:
    assert set(label_findings(text)) == set(FINDINGS)
    assert all(0 <= mention.start < mention.end <= len(text) for mention in find_mentions(text))


def test_spans_are_correct_in_texts_beyond_ascii() -> None:
    text = "İİ: Pleural effusion."
    (mention,) = find_mentions(text)
    assert text[mention.start : mention.end] == "Pleural effusion"


@pytest.mark.parametrize(
    "words",
    [
        "no left acute pleural parenchymal apical or and active focal increased interstitial lung ",
        "no effusion, nodule, left ",
        "edema: no, ",
        "the prior study showed edema, ",
        "neither effusion nor ",
    ],
)
def test_long_sentences_take_linear_time(words: str) -> None:
    started = time.process_time()
    label_findings(words * (180_000 // len(words)))
    assert time.process_time() - started < 5


@pytest.mark.parametrize(("name", "cue"), [*CUES["cue"].items()])
def test_every_example_of_a_cue_contains_the_cue(name: str, cue: dict[str, list[str]]) -> None:
    without = [
        text
        for text in cue["examples"]
        if not any(p.role == name for p in build_vocabulary(chest_xray()).find_phrases(text))
    ]
    assert without == []


@pytest.mark.parametrize("schema", [chest_xray(), load_schema("ct_mr")], ids=lambda schema: schema.name)
def test_the_vocabulary_is_well_formed(schema: FindingSchema) -> None:
    own = read_vocabulary(schema.vocabulary)
    assert {entry["name"] for entry in own["finding"]} == set(schema.stated)
    assert all(entry["reason"] for table in ("finding", "outside", "anatomy") for entry in own.get(table, ()))
    roles: dict[str, set[str]] = {}
    phrases = list(vocabulary_phrases(own))
    findings = {phrase for role, phrase in phrases if role == "finding"}
    for role, phrase in phrases:
        assert re.fullmatch(rf"{PIECE}(?: {PIECE})*", phrase.replace("\n", " ")), phrase
        assert phrase == phrase.lower()
        if role != "finding" and phrase in findings:
            continue  # a finding has precedence over a quality or a cue that is the same phrase
        for word in phrase.strip("()").split("|") if re.fullmatch(r"\([^()]+\)", phrase) else [phrase]:
            roles.setdefault(word, set()).add(role)
    assert {phrase: found for phrase, found in roles.items() if len(found) > 1} == {}


def vocabulary_phrases(own: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Return each phrase with its meaning. Of two meanings of one phrase, the labeler would use one by chance."""
    for finding in own["finding"]:
        yield from (("finding", phrase) for phrase in [*finding["phrases"], *finding.get("hints", [])])
    for name in ("outside", "anatomy"):
        yield from ((name, phrase) for entry in own.get(name, ()) for phrase in entry["phrases"])
    for vocabulary in (CUES, own):
        for entry in vocabulary.get("abnormality", ()):
            yield from ((f"abnormality {entry.get('denied')}", phrase) for phrase in entry["phrases"])
        kinds = vocabulary.get("quality", {}).items()
        yield from ((f"quality {kind}", phrase) for kind, phrases in kinds for phrase in phrases)
        places = filter(begins_statement, vocabulary.get("place", ()))
        yield from (("side", phrase) for place in places for phrase in place["phrases"])
        for name, cue in vocabulary["cue"].items():
            yield from ((f"cue {name}", phrase) for phrase in cue["phrases"])


def begins_statement(place: dict[str, Any]) -> bool:
    return bool(place.get("begins_statement"))


def test_mentions_are_frozen() -> None:
    mention = find_mentions("Effusion.")[0]
    assert isinstance(mention, Mention)
    with pytest.raises(AttributeError):
        mention.finding = "Edema"  # type: ignore[misc]


PIECES = [
    "No effusion",
    "vs",
    "Dr",
    ".",
    "?",
    "!",
    ";",
    ",",
    "..",
    " ",
    "\n",
    "\n\n",
    "1) ",
    "- ",
    "Heart: ",
    "yes",
    "no.",
    "3.5",
]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_sentences_of_short_texts_are_those_of_long_texts(text: str) -> None:
    spans = [match.span() for match in labeler._SENTENCE.finditer(text)]
    assert [match.span() for match in labeler._SENTENCE_OF_SHORT_TEXT.finditer(text)] == spans


@given(st.lists(st.sampled_from(["No effusion.", "Small effusion.", "Possible edema.", "No edema.", "Scoliosis."])))
def test_a_label_is_the_strongest_state_of_all_statements(sentences: list[str]) -> None:
    text = " ".join(sentences)
    order = ["not-mentioned", "absent", "uncertain", "present"]
    reader, states = labeler.finding_labeler(chest_xray()), label_findings(text)
    for finding in ("Pleural Effusion", "Edema"):
        stated = [one.state for one in reader.read_statements(text) if one.finding == finding]
        assert states[finding] == max(["not-mentioned", *stated], key=order.index)
