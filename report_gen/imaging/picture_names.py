"""Decide from their file names whether the pictures of one folder belong to several patients or to one study.

PNG, JPEG, TIFF and WebP files have no identifier of the study, so only their names can be compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

_VIEW_WORD = re.compile(
    "pa|ap|lat|lateral|laterale|ll|rl|lld|rld|lao|rao|lpo|rpo|frontal|frontale|front|side|face|profil|profile|"
    "posteroanterior|anteroposterior|oblique|obl|decubitus|decub|lordotic|apical|supine|upright|erect|portable|"
    "inspiration|expiration|left|right|l|r|seite|seitlich|frente|perfil"
)
"""Words for the view of a radiograph. They say which image of a study a picture is."""

_FRONTAL = re.compile("pa|ap|frontal|frontale|front|face|frente|posteroanterior|anteroposterior")
"""Words for a frontal view. A study has rarely more than one."""

_LATERAL = re.compile("lat|lateral|laterale|ll|rl|side|profil|profile|seite|seitlich|perfil")

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
    """Words for views. All words for frontal views count as one, and so do those for lateral views."""
    numbers: tuple[str, ...]
    """Numbers and single letters that count patients or images."""
    image_numbers: tuple[str, ...]
    """Numbers after a word for an image."""


def differ_like_patients(stems: Iterable[str]) -> bool:
    """Return whether names of pictures, without suffixes, may be those of different patients or examinations.

    The rule errs on the side of different patients: a report of one view is incomplete, but a report of two patients
    is wrong. Names differ like patients if

    - two of them state different identities: a number or name after a word such as `patient`, `case` or `study`, a
      date, a number of 100 or more, or any word that is no view, no word for an image and no common word;
    - they state no common identity, and two with different numbers or letters have the same view: `1_pa, 2_pa`,
      `1_AP, 2_PA`, `a_pa, b_pa`; or
    - they state no common identity, and the last of several numbers is the same while the first differs: `10_1, 11_1`.

    Names without an identity contradict no other: `lateral` goes with `patient1_pa`.
    """
    names = [_parse(stem) for stem in stems]
    identities = {name.identity for name in names if name.identity}
    if len(identities) == 1 and all(name.identity for name in names):
        return False
    return len(identities) > 1 or any(_count_patients(one, other) for one, other in combinations(names, 2))


def name_views(stems: Iterable[str]) -> bool:
    """Return whether names leave no doubt that the pictures are the views of one study.

    Every name contains words for a view, no two have the same view, and all have the same numbers, or none.
    """
    names = [_parse(stem) for stem in stems]
    views = {name.views for name in names}
    return frozenset() not in views and len(views) == len(names) and len({name.numbers for name in names}) == 1


def _parse(stem: str) -> _Name:
    words = _CAMEL_CASE.sub(" ", unicodedata.normalize("NFKC", stem))
    text = _IMAGE_IDENTIFIER.sub(" ", words.casefold())
    identity = [re.sub(r"\D", "", date[0]) for date in _DATE.finditer(text)]
    views: set[str] = set()
    numbers: list[str] = []
    image_numbers: list[str] = []
    previous = ""
    for token in _TOKEN.findall(_DATE.sub(" ", text)):
        if _VIEW_WORD.fullmatch(token):
            views.add("frontal" if _FRONTAL.fullmatch(token) else "lateral" if _LATERAL.fullmatch(token) else token)
        elif _PATIENT_WORD.fullmatch(previous) and not _PATIENT_WORD.fullmatch(token):
            identity += [previous, token.lstrip("0") or "0"]
        elif token.isdigit():
            if _IMAGE_WORD.fullmatch(previous):
                image_numbers.append(token.lstrip("0") or "0")
            elif _is_index(token):
                numbers.append(token.lstrip("0") or "0")
            else:
                identity.append(token)
            continue  # further numbers belong to the same word
        elif not any(words.fullmatch(token) for words in (_IMAGE_WORD, _COMMON_WORD, _PATIENT_WORD)):
            (numbers if len(token) == 1 and token.isascii() else identity).append(token)
        previous = token
    return _Name(tuple(identity), frozenset(views), tuple(numbers), tuple(image_numbers))


def _is_index(number: str) -> bool:
    return len(number) <= _INDEX_DIGITS and int(number) < _INDEX_LIMIT


def _count_patients(one: _Name, other: _Name) -> bool:
    """Return whether the numbers of two names count patients, not the images of a study."""
    differ = (one.numbers, one.image_numbers) != (other.numbers, other.image_numbers)
    if differ and one.views & other.views & {"frontal", "lateral"}:
        return True
    both_count = len(one.numbers) > 1 and len(other.numbers) > 1
    return both_count and one.numbers[0] != other.numbers[0] and one.numbers[-1] == other.numbers[-1]
