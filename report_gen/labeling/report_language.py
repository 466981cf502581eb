"""Recognize reports that are not in English, whose negations the labeler would miss.

Names of findings are the same words in several languages: the labeler would read the German "Kein Pneumothorax" as a
pneumothorax.
"""

from __future__ import annotations

import re
import unicodedata

_ENGLISH = re.compile(
    r"\b(?:the|of|and|is|are|was|were|with|without|no|not|there|has|have|been|in|on|at|to|for|from|or|which|this|that)\b"
)
_OTHERS = re.compile(
    r"""\b(?:
        das|und|ist|kein|keine|keinen|keiner|keinerlei|nein|nicht|ohne|mit|beidseits|nachweis  # German
      | le|les|une|et|est|sans|aucun|aucune|pas  # French
      | el|los|del|sin|ni|hay|con|ningun  # Spanish
      | il|della|dei|senza|nessun|nessuna  # Italian
      | sem|nao|com|ausencia|dos|das  # Portuguese
      | geen|het|een|niet|zonder  # Dutch
      | ingen|inga|inget|intet|och|og|ikke|inte|uden|utan|uten  # Swedish, Danish, Norwegian
      | bez|nie|brak|oraz  # Polish, Czech
      | ei|eika|ilman  # Finnish
      | yok|yoktur|izlenmedi|ile  # Turkish
      | nem|nincs|es  # Hungarian
      | fara|nu|este  # Romanian
      | tidak|tanpa|dan  # Indonesian
    )\b""",
    re.VERBOSE,
)
"""Frequent words of other languages, without accents. Words that English reports contain are left out, such as "die",
"la", "de", "no" and "non", and those of names, such as "van der"."""
_FEWEST_LATIN = 0.5
"""Least share of letters that must be Latin ones."""


def looks_english(text: str) -> bool:
    """Return whether a report seems to be in English. A text without a frequent word of any language counts as English.

    A text is in another language if its letters are not Latin ones, or if it contains more than half as many frequent
    words of other languages as of English, so that a report in two languages is not taken for English.

    Args:
        text: The report, or some of its sentences.
    """
    letters = [letter for letter in text if letter.isalpha()]
    if sum("LATIN" in unicodedata.name(letter, "") for letter in letters) < _FEWEST_LATIN * len(letters):
        return False
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(one for one in decomposed if not unicodedata.combining(one))
    return 2 * len(_OTHERS.findall(plain)) <= len(_ENGLISH.findall(plain))
