"""Layout `image-text`: a folder of images, each with its report in a file of the same name (a.png, a.txt).

The report is a text, an HL7 message, a FHIR document, or a draft of report-gen as JSON.

Folders named train, val or test give the split. The patients are unknown.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from report_gen.corpora.examples import Example
from report_gen.corpora.image_paths import has_image_suffix
from report_gen.corpora.report_texts import read_report_texts, report_stem
from report_gen.corpora.table_folders import split_of_name
from report_gen.records import ViewPosition

_FILES_EXAMINED = 400
_DICOM = (".dcm", ".dicom", ".ima")
"""Suffixes of images that the layout `dicom` reads, together with the reports beside them."""


def matches(path: Path) -> bool:
    """Return whether there is an image with a text file of the same name among the first files of a folder."""
    return path.is_dir() and any(text is not None for _, text in islice(_pairs(path), _FILES_EXAMINED))


def read(path: Path) -> Iterator[Example]:
    """Yield one study per image. Images without a text file have no report.

    Raises:
        CorpusError: A text file cannot be read.
    """
    for image, text in _pairs(path):
        name = image.relative_to(path)
        sections: dict[str, Any] = dict(read_report_texts(text)) if text is not None else {}
        yield Example(
            study_id=name.with_suffix("").as_posix(),
            images=(str(image.resolve()),),
            view_positions=(ViewPosition.UNKNOWN.value,),
            split=next(filter(None, map(split_of_name, name.parts[:-1])), "train"),
            **sections,
        )


def _pairs(root: Path) -> Iterator[tuple[Path, Path | None]]:
    """Yield each image at or below a folder with its text file."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        reports = ((report_stem(Path(folder, name)), name) for name in sorted(names, reverse=True))
        texts = {stem: name for stem, name in reports if stem is not None}  # of several reports a text comes first
        for name in sorted(names):
            if has_image_suffix(name) and not name.lower().endswith(_DICOM):
                text = texts.get(Path(name).stem)
                yield Path(folder, name), None if text is None else Path(folder, text)
