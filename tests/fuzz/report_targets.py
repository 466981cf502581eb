"""Targets of `read_report`: drafts in each format that can be read back."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydicom import DataElement, Dataset, dcmread

from report_gen import read_report, read_study
from report_gen.outputs import DocumentOptions, DraftDocument, get_format
from report_gen.records import (
    Finding,
    FindingLocation,
    FindingState,
    InputFile,
    Provenance,
    Report,
    Side,
    Zone,
    parse_report,
)
from tests.dicom_files import write_dicom
from tests.fuzz.example import Example, Target
from tests.fuzz.values import ODD_TEXTS, changed_trees, to_json

REPORT = Report(
    sections=parse_report("FINDINGS: The heart is enlarged. Café é. IMPRESSION: Small left effusion."),
    findings=(
        Finding(
            name="Pleural Effusion",
            state=FindingState.PRESENT,
            probability=0.75,
            overridden=True,
            location=FindingLocation(Side.LEFT, frozenset({Zone.LOWER})),
            location_overridden=True,
            side_probability=0.5,
            zone_probabilities=(0.125, 0.25, 0.5),
        ),
        Finding(name="Edema", state=FindingState.ABSENT, probability=0.25),
        Finding(name="Fracture", state=FindingState.UNKNOWN),
    ),
    notices=("The view is not known.",),
    provenance=Provenance(
        model_name="tiny",
        weights_sha256="0123456789abcdef" * 4,
        program_version="1",
        created="2026-01-02T03:04:05+00:00",
        study_instance_uid="1.2.3",
        inputs=(InputFile(sha256="ff" * 32, sop_instance_uid="1.2.5"),),
        decoding={"beams": 3},
    ),
)


@cache
def _drafts() -> dict[str, bytes]:
    """Return the draft by format. The page in PDF is left out of the FHIR document, because it is not read."""
    with TemporaryDirectory() as folder:
        study = read_study(write_dicom(Path(folder) / "a.dcm"))
        basic = DraftDocument(report=REPORT, study=study, options=DocumentOptions(basic_text_sr=True))
        draft = DraftDocument(report=REPORT, study=study)
        names = ("txt", "json", "fhir", "hl7", "dicom-sr", "dicom-sr-findings")
        drafts = {name: get_format(name).render(draft) for name in names}
        bundle = json.loads(drafts["fhir"])
        del bundle["entry"][0]["resource"]["presentedForm"]
        return drafts | {"basic": get_format("dicom-sr").render(basic), "fhir": to_json(bundle)}


def _text_seeds() -> Sequence[Example]:
    return [_example(_drafts()[name]) for name in ("txt", "json", "fhir", "hl7")]


def _dicom_seeds() -> Sequence[Example]:
    return [_example(_drafts()[name]) for name in ("dicom-sr", "dicom-sr-findings", "basic")]


def _example(content: bytes) -> Example:
    return Example({"report": content}, "report")


def _changed_texts(_seeds: Sequence[Example]) -> SearchStrategy[Example]:
    """Return JSON and FHIR with other values, and HL7 and TXT with other fields and lines."""
    trees = [changed_trees(json.loads(_drafts()[name])).map(to_json) for name in ("json", "fhir")]
    texts = [_changed_pieces(_drafts()["hl7"], b"|"), _changed_pieces(_drafts()["txt"], b"\n")]
    return st.one_of(*trees, *texts).map(_example)


@st.composite
def _changed_pieces(draw: st.DrawFn, content: bytes, separator: bytes) -> bytes:
    """Draw a text in which one to three of the pieces between separators are replaced, removed or repeated."""
    pieces = content.split(separator)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(pieces) - 1))
        odd = draw(st.sampled_from(("^", "&", "\\", "~", "\r", "\\H\\", "1e9", "2", "-1")) | ODD_TEXTS)
        change = draw(st.sampled_from(("replace", "remove", "repeat")))
        new = {"replace": [odd.encode(errors="surrogatepass")], "remove": [], "repeat": [pieces[place]] * 3}[change]
        pieces[place : place + 1] = new or [b""]
    return separator.join(pieces)


@st.composite
def _changed_objects(draw: st.DrawFn, seeds: Sequence[Example]) -> Example:
    """Draw a DICOM object in which one to three attributes are removed, emptied, repeated or another text."""
    example = draw(st.sampled_from(seeds))
    dataset = dcmread(io.BytesIO(example.files[example.name]))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_attributes(dataset))
        parent, element = places[draw(st.integers(0, len(places) - 1))]
        change = draw(st.sampled_from(("remove", "empty", "repeat", "text", "number")))
        if change == "remove":
            del parent[element.tag]
        elif change == "repeat" and element.VR == "SQ":
            parent[element.tag] = DataElement(element.tag, "SQ", [*element.value, *element.value])
        elif change == "empty":
            parent[element.tag] = DataElement(element.tag, element.VR, [] if element.VR == "SQ" else None)
        else:
            text = draw(ODD_TEXTS if change == "text" else st.sampled_from(("-1", "2", "nan", "1e400", "0.5\\0.5")))
            parent[element.tag] = DataElement(element.tag, "UT", text.encode(errors="ignore").decode())
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return example.with_content(buffer.getvalue())


def _attributes(dataset: Dataset) -> Iterator[tuple[Dataset, DataElement]]:
    """Yield every attribute of an object with the item that it belongs to."""
    for element in dataset:
        yield dataset, element
        if element.VR == "SQ":
            for item in element.value:
                yield from _attributes(item)


TARGETS = (
    Target("report", _text_seeds, _changed_texts, read_report),
    Target("report-dicom", _dicom_seeds, _changed_objects, read_report),
)
