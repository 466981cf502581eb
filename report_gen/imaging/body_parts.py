"""Find the body parts that the texts of a header name."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from report_gen.records import Series

VOCABULARY = "body_parts.toml"

_IGNORED = "ignored"
"""Key of the phrases that contain words of body parts and name none."""

_CHEST = "chest"
_EXAMINED = "Body Part Examined"
_SEVERAL_PARTS = re.compile("neck *chest|chest *abd", re.IGNORECASE)
"""Body Part Examined (0018,0015) of regions of which the chest is one, such as CHESTABDOMEN (PS3.16 Annex L)."""

_JOINED_PARTS = (
    (re.compile("head *neck|neck *chest", re.IGNORECASE), "neck"),
    (re.compile("chest *abd", re.IGNORECASE), "abdomen"),
)
"""Patterns of such terms, with the body part that they name in addition to the first one or the chest."""

_LOGOGRAPHIC = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Japanese kana, Chinese characters and Korean syllables. These scripts do not separate words by spaces."""

_WORD = re.compile(rf"[{_LOGOGRAPHIC}]+|[^\W\d_{_LOGOGRAPHIC}]+")

_TWO_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "æ": "ae", "ø": "oe", "œ": "oe"})
"""German and Scandinavian letters as headers without their character set write them."""
_ONE_LETTER = str.maketrans({"æ": "a", "ø": "o", "œ": "o", "ł": "l", "đ": "d", "\N{LATIN SMALL LETTER DOTLESS I}": "i"})
"""Letters that have no decomposition into a letter and an accent."""


@dataclass(frozen=True)
class HeaderBodyParts:
    """The body parts that the header of a series names."""

    stated: frozenset[str]
    """Body parts by the most specific attributes that name any: of the image, of the series, or of the study."""
    by_attribute: Mapping[str, frozenset[str]]
    """Body parts by the name of each attribute that names any."""
    words: Mapping[str, str] = field(default_factory=dict)
    """For each body part the word of the vocabulary that names it in the header, such as knee for the leg."""

    def describe(self, part: str) -> str:
        """Return a body part with the word of the header that names it, such as "leg (knee)".

        The word is that of the vocabulary, because other words of a description may identify the patient.
        """
        word = self.words.get(part, part)
        return part if word == part else f"{part} ({word})"

    def contradicts(self, accepted: Collection[str]) -> bool:
        """Return whether the header states an accepted part, but an attribute names only others.

        Body Part Examined, which has one value (PS3.3 C.7.3.1), must not name any other, as `CHEST\\FOOT` does.
        """
        examined = self.by_attribute.get(_EXAMINED, frozenset())
        return not self.stated.isdisjoint(accepted) and (
            not examined.issubset(accepted) or any(parts.isdisjoint(accepted) for parts in self.by_attribute.values())
        )


def header_body_parts(series: Series) -> HeaderBodyParts:
    """Return the body parts that the attributes of a series name."""
    levels: tuple[Mapping[str, Mapping[str, str]], ...] = (
        {
            _EXAMINED: _named_words(series.body_part or "", is_coded=True),
            "Anatomic Region Sequence": _named_words(series.anatomic_region or "", is_coded=True),
        },
        {"Series Description or Protocol Name": ChainMap(*(dict(_named_words(one)) for one in series.descriptions))},
        {"Study Description": _named_words(series.study_description or "")},
    )
    return HeaderBodyParts(
        stated=next((parts for level in levels if (parts := frozenset().union(*level.values()))), frozenset()),
        by_attribute={name: frozenset(parts) for level in levels for name, parts in level.items() if parts},
        words=ChainMap(*(dict(parts) for level in levels for parts in level.values())),
    )


def scanned_body_parts(series: Series) -> frozenset[str]:
    """Return the body parts that a header states, and those that a joined term of Body Part Examined adds.

    `header_body_parts` counts CHESTABDPELVIS as a chest, because the images show one. They show an abdomen as well,
    which matters for the choice of a window.
    """
    term = series.body_part or ""
    joined = (part for pattern, part in _JOINED_PARTS if pattern.search(term))
    return header_body_parts(series).stated.union(joined)


def named_body_parts(text: str, *, is_coded: bool = False) -> frozenset[str]:
    """Return the body parts of the vocabulary that a text of a header names.

    Args:
        text: The text, in any language of the vocabulary.
        is_coded: Whether the text is the value of Body Part Examined or of the Anatomic Region Sequence.
    """
    return frozenset(_named_words(text, is_coded=is_coded))


def _named_words(text: str, *, is_coded: bool = False) -> dict[str, str]:
    """Return for each body part that a text names the word of the vocabulary that names it; see `named_body_parts`."""
    vocabulary = _vocabulary(is_coded)
    named = [found for words in _spellings(text) for found in vocabulary.parts_of(words)]
    return {part: word for part, word in reversed(named) if part}


def shows_only_chest(all_series: Sequence[Series]) -> bool:
    """Return whether the headers of the series of a study name the chest and no other body part."""
    named = frozenset().union(*(part for one in all_series for part in header_body_parts(one).by_attribute.values()))
    return named == {_CHEST} and not any(_SEVERAL_PARTS.search(series.body_part or "") for series in all_series)


def known_body_parts() -> frozenset[str]:
    """Return the names of all body parts of the vocabulary, such as chest."""
    vocabulary = _vocabulary(is_coded=True)
    return frozenset(part for part in (*vocabulary.exact.values(), *vocabulary.beginnings.values()) if part)


@dataclass(frozen=True)
class _Vocabulary:
    """The words of a vocabulary, each with its body part, or "" for phrases that name none."""

    exact: Mapping[str, str]
    beginnings: Mapping[str, str]
    """Words that match the beginning of a word."""
    characters: re.Pattern[str]
    """Words in scripts without spaces, the longest first."""
    longest: int
    """Largest number of words in a phrase."""

    def parts_of(self, words: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield the body parts of words from left to right, the longest phrase first, each with its phrase."""
        start = 0
        while start < len(words):
            length, part, phrase = self._match(words[start : start + self.longest])
            if length:
                yield part, phrase
            else:
                yield from ((self.exact[found], found) for found in self.characters.findall(words[start]))
            start += length or 1

    def _match(self, words: Sequence[str]) -> tuple[int, str, str]:
        """Return the number of words in the longest phrase at the beginning of these words, its part, and itself."""
        for length in range(len(words), 0, -1):
            phrase = " ".join(words[:length])
            if phrase in self.exact:
                return length, self.exact[phrase], phrase
            found = [one for one in self.beginnings if phrase.startswith(one) and one.count(" ") == length - 1]
            if found:
                beginning = max(found, key=len)
                return length, self.beginnings[beginning], beginning
        return 0, "", ""


def _spellings(text: str) -> list[list[str]]:
    """Return the words of a text with their accents, with umlauts as two letters, and without accents."""
    accented = unicodedata.normalize("NFKC", text.casefold())  # ß becomes ss
    forms = (accented, _without_accents(accented.translate(_TWO_LETTERS)), _without_accents(accented))
    return [_WORD.findall(form) for form in dict.fromkeys(forms)]


def _without_accents(text: str) -> str:
    """Remove the accents of Latin and Greek letters. Cyrillic letters such as й are letters of their own."""
    return "".join(c if "\u0400" <= c <= "\u04ff" else _without_accent(c) for c in text.translate(_ONE_LETTER))


def _without_accent(character: str) -> str:
    decomposed = unicodedata.normalize("NFD", character)
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if not unicodedata.combining(c)))


@cache
def _vocabulary(is_coded: bool) -> _Vocabulary:
    content: dict[str, Any] = tomllib.loads((files(__package__) / "vocabularies" / VOCABULARY).read_text("utf-8"))
    parts = dict.fromkeys(content.pop(_IGNORED), "")
    for part, entry in content.items():
        parts |= dict.fromkeys((*entry["words"], *(entry.get("terms", ()) if is_coded else ())), part)
    parts = {word.casefold(): part for word, part in parts.items()}  # a Greek sigma at the end of a word has two forms
    characters = sorted((word for word in parts if re.match(f"[{_LOGOGRAPHIC}]", word)), key=len, reverse=True)
    return _Vocabulary(
        exact={word: part for word, part in parts.items() if not word.endswith("*")},
        beginnings={word[:-1]: part for word, part in parts.items() if word.endswith("*")},
        characters=re.compile("|".join(map(re.escape, characters))),
        longest=max(word.count(" ") for word in parts) + 1,
    )
