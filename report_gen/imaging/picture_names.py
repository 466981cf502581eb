"""Decide from their file names whether the pictures of one folder belong to several patients or to one study.

PNG, JPEG, TIFF and WebP files have no identifier of the study, so only their names can be compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_VIEW_WORD = re.compile(
    "pa|ap|lat|lateral|laterale|ll|rl|lld|rld|lao|rao|lpo|rpo|frontal|frontale|front|side|face|profil|profile|"
    "posteroanterior|anteroposterior|oblique|obl|decubitus|decub|lordotic|apical|supine|upright|erect|portable|"
    "inspiration|expiration|left|right|l|r|seite|seitlich|frente|perfil"
)
"""Words for the view of a radiograph. They say which image of a study a picture is."""

_IMAGE_WORD = re.compile("images?|img|im|view|pic|picture|photo|series|slice|frame|page|dscn?|screenshot|copy")
"""Words that a number of the image follows, of any length: IMG_1234, IM-0001-3001, view2."""

_COMMON_WORD = re.compile("chest|thorax|torax|xray|x|ray|xr|rx|dx|cr|radiograph|scan|file")
"""Words that stand in the names of images of any patient."""

_PATIENT_WORD = re.compile(
    "patients?|pat|pt|p|person|subject|subj|sub|case|id|pid|mrn|acc|accession|cxr|"
    "study|exam|examination|visit|session|ses|s"
)
"""Words that a number or name of a patient or study follows: patient01, sub-03, p10000032, CXR1900."""

_DATE = re.compile(r"(?<!\d)(?:19|20)\d\d([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])(?!\d)")
_IMAGE_IDENTIFIER = re.compile(
    r"(?<![0-9a-z])(?:[0-9a-f]{8}(?:-[0-9a-f]{4,12}){2,}|(?=\d*[a-f])(?=[a-f]*\d)[0-9a-f]{16,})(?![0-9a-z])"
    r"|(?<![\d.])\d+(?:\.\d+){4,}(?![\d.])"
)
"""A UUID or hash as in MIMIC-CXR-JPG, or a DICOM UID. They are random for each image and say nothing of the patient."""

_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")

_TOKEN = re.compile(r"(?:[^\W\d_]|[\udc80-\udcff])+|\d+")
"""A word or a number. Bytes that are not UTF-8 stand in a name as U+DC80 to U+DCFF and count as letters."""

_INDEX_DIGITS, _INDEX_LIMIT = 4, 100
"""A number below 100 of up to four digits counts images. A longer one may be the number of a patient."""


@dataclass(frozen=True)
class _Name:
    """What the name of a picture states."""

    identity: tuple[str, ...]
    """Words and numbers of a patient or study, dates and unknown words."""
    views: frozenset[str]
    index: tuple[str, ...]
    """Numbers and single letters that count patients or images."""


def differ_like_patients(stems: Iterable[str]) -> bool:
    """Return whether names of pictures, without suffixes, may be those of different patients or examinations.

    The rule errs on the side of different patients: a report of one view is incomplete, but a report of two patients
    is wrong. Names differ like patients if

    - two of them state different identities: a number or name after a word such as `patient`, `case` or `study`, a
      date, a number of 100 or more, or any word that is no view, no word for an image and no common word; or
    - one number has several views while one view has several numbers: `1_pa, 1_lateral, 2_pa, 2_lateral`.

    Names without an identity contradict no other: `lateral` goes with `patient1_pa`.
    """
    names = [_parse(stem) for stem in stems]
    identities = {name.identity for name in names if name.identity}
    return len(identities) > 1 or _repeat_views(names)


def name_views(stems: Iterable[str]) -> bool:
    """Return whether every name contains a word for a view."""
    return all(_parse(stem).views for stem in stems)


def _parse(stem: str) -> _Name:
    words = _CAMEL_CASE.sub(" ", unicodedata.normalize("NFKC", stem))
    text = _IMAGE_IDENTIFIER.sub(" ", words.casefold())
    identity = [re.sub(r"\D", "", date[0]) for date in _DATE.finditer(text)]
    views: set[str] = set()
    index: list[str] = []
    previous = ""
    for token in _TOKEN.findall(_DATE.sub(" ", text)):
        if _VIEW_WORD.fullmatch(token):
            views.add(token)
        elif _PATIENT_WORD.fullmatch(previous) and not _PATIENT_WORD.fullmatch(token):
            identity += [previous, token.lstrip("0") or "0"]
        elif token.isdigit():
            if not (_IMAGE_WORD.fullmatch(previous) or _is_index(token)):
                identity.append(token)
            else:
                index.append(token.lstrip("0") or "0")
            continue  # further numbers belong to the same word
        elif not any(words.fullmatch(token) for words in (_IMAGE_WORD, _COMMON_WORD, _PATIENT_WORD)):
            (index if len(token) == 1 and token.isascii() else identity).append(token)
        previous = token
    return _Name(tuple(identity), frozenset(views), tuple(index))


def _is_index(number: str) -> bool:
    return len(number) <= _INDEX_DIGITS and int(number) < _INDEX_LIMIT


def _repeat_views(names: Sequence[_Name]) -> bool:
    """Return whether one number has several views while one view has several numbers."""
    pairs = {(name.index, name.views) for name in names if name.index and name.views}
    numbers, views = {index for index, _ in pairs}, {view for _, view in pairs}
    return len(pairs) > max(len(numbers), len(views))
