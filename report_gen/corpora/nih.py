"""Layout `nih`: ChestX-ray14 of the NIH Clinical Center (Wang et al., CVPR 2017), images with labels and no texts.

A folder with the table of labels (labels.csv or the official Data_Entry_2017*.csv) and the images. Optional files are
chexnet_probs.csv (probabilities of a classifier for each image), boxes.csv (boxes around findings), google_labels.csv
(adjudicated labels) and the official lists of the split. The table may have the columns `source` and `stored_px`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from report_gen.corpora.examples import Example
from report_gen.corpora.nih_annotations import ADJUDICATED, BOXES, read_adjudicated, read_boxes
from report_gen.corpora.nih_labels import LABEL_SET, NIH_LABELS, NORMAL
from report_gen.corpora.tables import has_columns, read_csv
from report_gen.corpora.text_files import read_text
from report_gen.errors import CorpusError
from report_gen.records import FindingSchema, ViewPosition

COLUMNS = ("Image Index", "Finding Labels", "Patient ID", "View Position")
SOFT_LABELS = "chexnet_probs.csv"
TEST_LIST, TRAIN_VAL_LIST = "test_list.txt", "train_val_list.txt"


def matches(path: Path) -> bool:
    """Return whether a path has this layout."""
    return _find_table(path) is not None


def read(path: Path, schema: FindingSchema) -> Iterator[Example]:
    """Yield one example per image, with labels by the schema's mapping of the NIH labels.

    Without the official lists, 60% of the patients are in train, 20% in val and 20% in test. The split depends on the
    patient id alone, so that a patient has the same split in every copy of a part of the data set. An adjudicated label
    replaces the mined one.

    Raises:
        CorpusError: There is no table, an image has an unknown label, an image is in neither list, or an optional file
            has a wrong value.
    """
    table = _require_table(path)
    folder = table.parent.resolve()
    soft = _read_soft_labels(folder / SOFT_LABELS, schema)
    boxes, adjudicated = read_boxes(folder / BOXES, schema), read_adjudicated(folder / ADJUDICATED, schema)
    tests = _read_list(folder / TEST_LIST)
    listed = tests | _read_list(folder / TRAIN_VAL_LIST)
    located = {image.name: image for image in folder.glob("images_*/images/*.png")}
    for row in read_csv(table, columns=COLUMNS):
        name = row["Image Index"]
        if listed and name not in listed:
            raise CorpusError(f"{table}: {name} is in neither {TEST_LIST} nor {TRAIN_VAL_LIST}; remove its row")
        image = folder / row["image"] if "image" in row else located.get(name, folder / "images" / name)
        stem, mined = Path(name).stem, _hard_labels(_parse_labels(row["Finding Labels"], table), schema)
        yield Example(
            study_id=stem,
            patient_id=row["Patient ID"],
            images=(str(image),),
            view_positions=(ViewPosition.from_term(row["View Position"]).value,),
            labels=_prefer_adjudicated(mined, adjudicated.get(stem, {}), schema),
            soft_labels=soft.get(stem, {}),
            adjudicated_findings=tuple(adjudicated.get(stem, {})),
            finding_boxes=boxes.get(stem, ()),
            source=row.get("source", ""),
            stored_px=_stored_px(row.get("stored_px", ""), table),
            split=_split(row["Patient ID"], listed=name in tests if listed else None),
        )


def read_labels(path: Path) -> dict[str, frozenset[str]]:
    """Return the NIH labels of each study, names of `NIH_LABELS`. One finding may cover two labels.

    Raises:
        CorpusError: See `read`.
    """
    table = _require_table(path)
    rows = read_csv(table, columns=COLUMNS)
    return {Path(row["Image Index"]).stem: _parse_labels(row["Finding Labels"], table) - {NORMAL} for row in rows}


def _require_table(path: Path) -> Path:
    table = _find_table(path)
    if table is None:
        raise CorpusError(
            f"{path}: no labels.csv or Data_Entry_2017*.csv with a column 'Finding Labels' found; check the path"
        )
    return table


def _find_table(path: Path) -> Path | None:
    files = [path / "labels.csv", *sorted(path.glob("Data_Entry_2017*.csv"))] if path.is_dir() else [path]
    tables = (file for file in files if file.suffix == ".csv" and file.is_file())
    return next((table for table in tables if has_columns(table, COLUMNS[1:2])), None)


def _read_list(path: Path) -> set[str]:
    return set(read_text(path).split()) if path.is_file() else set()


def _read_soft_labels(path: Path, schema: FindingSchema) -> dict[str, dict[str, float]]:
    if not path.is_file():
        return {}
    columns = ("image", *map(str.lower, NIH_LABELS))
    rows, labels = read_csv(path, columns=columns), schema.labels_of(LABEL_SET)
    try:
        return {
            Path(row["image"]).stem: {finding: _soft_label(names, row) for finding, names in labels.items()}
            for row in rows
        }
    except ValueError as error:
        raise CorpusError(f"{path}: a probability is not a number from 0 to 1; correct the table") from error


def _soft_label(labels: Sequence[str], row: Mapping[str, str]) -> float:
    """Return the probability of at least one of the labels, assuming that they are independent."""
    none_of_them = 1.0
    for label in labels:
        probability = float(row[label.lower()])
        if not 0 <= probability <= 1:
            raise ValueError(probability)
        none_of_them *= 1 - probability
    return 1 - none_of_them


def _parse_labels(text: str, table: Path) -> frozenset[str]:
    stated = frozenset(label.strip() for label in text.split("|"))
    unknown = stated - {NORMAL, *NIH_LABELS}
    if unknown:
        raise CorpusError(f"{table}: unknown label {min(unknown)!r} in 'Finding Labels'; correct the table")
    return stated


def _hard_labels(stated: frozenset[str], schema: FindingSchema) -> dict[str, float]:
    labels = {finding: float(bool(stated & set(names))) for finding, names in schema.labels_of(LABEL_SET).items()}
    return {schema.normal: float(NORMAL in stated)} | labels if labels and schema.normal else labels


def _prefer_adjudicated(
    mined: Mapping[str, float], adjudicated: Mapping[str, float], schema: FindingSchema
) -> dict[str, float]:
    """Return the mined labels with the adjudicated ones in their place.

    "No finding" follows: 0 if an adjudicated finding is present, and unknown if all mined findings are adjudicated to
    be absent, because the mined label denied a normal study on their account.
    """
    labels = {**mined, **adjudicated}
    if adjudicated and schema.normal in labels:
        others = [label for finding, label in labels.items() if finding != schema.normal]
        if any(others):
            labels[schema.normal] = 0.0
        elif not labels[schema.normal]:
            del labels[schema.normal]
    return labels


def _stored_px(text: str, table: Path) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) < 10):
        raise CorpusError(f"{table}: stored_px {text!r} is not a number of pixels; correct the table")
    return int(text or 0)


def _split(patient_id: str, *, listed: bool | None) -> str:
    """Return the split of a patient, which is the same for all images of the patient.

    Args:
        patient_id: Patient.
        listed: Whether the image is in the official test list; None without lists.
    """
    if listed:
        return "test"
    fraction = int.from_bytes(hashlib.sha256(patient_id.encode()).digest()[:8], "big") / 2**64
    if listed is False:
        return "val" if fraction >= 7 / 8 else "train"
    return "train" if fraction < 0.6 else "val" if fraction < 0.8 else "test"
