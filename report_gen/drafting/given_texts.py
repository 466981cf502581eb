"""Texts of the request that a draft repeats, so that its reader sees what the model was given.

A text of the DICOM header is not repeated but named: it may identify the patient, and drafts as TXT and JSON do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from report_gen.drafting.request import DraftRequest
from report_gen.prompting import LONGEST_VALUE, clean_value, cut_at_word
from report_gen.records import INDICATION_OF_HEADER, Section, SectionName, split_sentences

_SECTIONS: Mapping[SectionName, str] = MappingProxyType(
    {SectionName.INDICATION: "indication", SectionName.TECHNIQUE: "technique"}
)
"""Value of the prompt that each section repeats."""


def given_sections(request: DraftRequest, used: Mapping[str, str]) -> tuple[Section, ...]:
    """Return the sections INDICATION and TECHNIQUE of a draft, as far as there is something to say.

    Args:
        request: The study with the texts of the user.
        used: Values of the prompt as the model got them, see `FittedPrompt.values`. A value that the prompt does not
            have is repeated if the user stated it.
    """
    texts = {
        section: used.get(name, stated) if (stated := _stated(request, name)) else _named(used.get(name, ""))
        for section, name in _SECTIONS.items()
    }
    return tuple(Section(section, split_sentences(text)) for section, text in texts.items() if text)


def unused_notices(request: DraftRequest, used: Mapping[str, str]) -> Iterator[str]:
    """Yield a notice for each text of the user that the model does not use.

    Args:
        request: As in `given_sections`.
        used: As in `given_sections`.
    """
    for name in _SECTIONS.values():
        if name not in used and (stated := _stated(request, name)):
            is_cut = len(clean_value(getattr(request, name))) > len(stated)
            cut = f", and the draft repeats only its first {len(stated)} characters" if is_cut else ""
            yield f"the model does not use the {name}; it had no influence on the draft{cut}"


def _stated(request: DraftRequest, name: str) -> str:
    """Return a text of the user as a prompt would have it."""
    stated: str | None = getattr(request, name)
    return cut_at_word(clean_value(stated or ""), LONGEST_VALUE)


def _named(text: str) -> str:
    return INDICATION_OF_HEADER if text else ""
