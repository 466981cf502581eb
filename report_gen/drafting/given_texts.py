"""Texts of the request that a draft repeats, so that its reader sees what the model was given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from report_gen.drafting.request import DraftRequest
from report_gen.prompting import LONGEST_VALUE, clean_value, cut_at_word
from report_gen.records import Section, SectionName, split_sentences

_SECTIONS: Mapping[SectionName, str] = MappingProxyType(
    {SectionName.INDICATION: "indication", SectionName.TECHNIQUE: "technique"}
)
"""Value of the prompt that each section repeats."""


def given_sections(request: DraftRequest, used: Mapping[str, str]) -> tuple[Section, ...]:
    """Return the sections INDICATION and TECHNIQUE of a draft, as far as there is something to repeat.

    Args:
        request: The study with the texts of the user.
        used: Values of the prompt as the model got them, see `FittedPrompt.values`. A value that the prompt does not
            have is repeated if the user stated it.
    """
    return tuple(
        Section(section, sentences)
        for section, name in _SECTIONS.items()
        if (sentences := split_sentences(used[name] if name in used else _stated(request, name)))
    )


def unused_notices(request: DraftRequest, used: Mapping[str, str]) -> Iterator[str]:
    """Yield a notice for each text of the user that the model does not use.

    Args:
        request: As in `given_sections`.
        used: As in `given_sections`.
    """
    for name in _SECTIONS.values():
        if name not in used and _stated(request, name):
            yield f"the model does not use the {name}; it had no influence on the draft"


def blank_sections(request: DraftRequest) -> tuple[Section, ...]:
    """Return the sections of `given_sections` for a study whose images show nothing, for which there is no prompt."""
    indication = _cleaned(request.indication or request.study.indication or "")
    return given_sections(request, {"indication": indication})


def _stated(request: DraftRequest, name: str) -> str:
    stated: str | None = getattr(request, name)
    return _cleaned(stated or "")


def _cleaned(text: str) -> str:
    return cut_at_word(clean_value(text), LONGEST_VALUE)
