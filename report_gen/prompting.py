"""Prompts: the text before the report. A prompt is one text file with placeholders and without code."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

from report_gen.auditing import remove_deidentified_words
from report_gen.errors import UsageError
from report_gen.records import ViewPosition, strip_controls
from report_gen.word_lists import join_words

LONGEST_PROMPT = 2**16
"""Longest prompt, characters. No decoder has positions for a longer text."""
LONGEST_VALUE = 300
"""Largest number of characters of a filled-in value; longer values are cut at a word."""
LONGEST_READ = 2**18
"""Largest number of characters of a value that are read."""

_BLOCK = 10 * LONGEST_VALUE
"""Characters of a value that are cleaned together, so that a long value is read only as far as needed."""
_LONGEST_MARK = 200
"""Characters at the end of a block in which a de-identification mark may begin that the next block ends."""


@dataclass(frozen=True, kw_only=True)
class PromptValues:
    """What a prompt says about a study. An empty value is not known."""

    indication: str = ""
    """Why the study was ordered."""
    views: str = ""
    """The views of the study, see `describe_views`."""
    technique: str = ""
    """How the images were acquired."""
    study_description: str = ""
    """DICOM Study Description."""
    admitting_diagnoses: str = ""
    """DICOM Admitting Diagnoses Description."""
    comparison: str = ""
    """The earlier study with which the study is compared."""
    prior_report: str = ""
    """Findings and impression of the report of the earlier study."""


PLACEHOLDERS = tuple(value.name for value in fields(PromptValues))


@dataclass(frozen=True)
class Prompt:
    """A text with placeholders such as `{indication}`, each the name of a field of `PromptValues`.

    Raises:
        UsageError: The text is longer than `LONGEST_PROMPT`, or has another placeholder or a lone brace.
    """

    text: str
    name: str = field(default="prompt", compare=False)
    """Name of the prompt in error messages."""

    def __post_init__(self) -> None:
        if len(self.text) > LONGEST_PROMPT:
            raise UsageError(f"{self.name}: more than {LONGEST_PROMPT} characters, so it is not a prompt; shorten it")
        unknown = next((name for name in _PLACEHOLDER.findall(self.text) if name not in PLACEHOLDERS), None)
        if unknown is not None:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise UsageError(f"{self.name}: unknown placeholder {{{unknown}}}; use {known}")
        if re.search(r"[{}]", _PLACEHOLDER.sub("", self.text)):
            raise UsageError(f"{self.name}: a brace outside a placeholder; remove it")

    @property
    def placeholders(self) -> frozenset[str]:
        """Names of the placeholders in the text."""
        return frozenset(_PLACEHOLDER.findall(self.text))


def load_prompt(name_or_path: str | os.PathLike[str]) -> Prompt:
    """Load a built-in prompt by name (such as `chest_xray`) or a prompt file.

    Empty lines and lines that begin with `#` are skipped.

    Raises:
        UsageError: There is no such prompt, the file is too long or not UTF-8 text, or it has an unknown placeholder.
    """
    built_in = {Path(file.name).stem: file for file in prompt_files(".txt")}
    path = Path(name_or_path)
    if str(name_or_path) not in built_in and not path.is_file():
        raise UsageError(f"{name_or_path}: no such prompt; name a file or one of {', '.join(sorted(built_in))}")
    file = built_in.get(str(name_or_path), path)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: cannot be read as UTF-8 text; check the file") from error
    kept = (line.strip() for line in lines if not line.lstrip().startswith("#"))
    return Prompt("\n".join(line for line in kept if line), name=str(file))


def render(prompt: Prompt, values: PromptValues, *, longest: int = LONGEST_VALUE) -> str:
    """Fill the placeholders of a prompt. A line whose placeholders are all empty is omitted.

    A value becomes one line of at most `longest` characters without control characters and de-identification marks.
    Values are not searched for placeholders.

    Args:
        prompt: The prompt.
        values: What is known about the study.
        longest: Largest number of characters of a value.
    """
    cleaned = {
        name: cut_at_word(clean_value(getattr(values, name), longest=longest), longest) for name in prompt.placeholders
    }
    lines = []
    for line in prompt.text.splitlines():
        names = _PLACEHOLDER.findall(line)
        if not names or any(cleaned[name] for name in names):
            lines.append(_PLACEHOLDER.sub(lambda match: cleaned[match[1]], line))
    return "\n".join(lines)


def clean_value(text: str, *, longest: int = LONGEST_VALUE) -> str:
    """Return a value as one line without control characters and de-identification marks.

    At most `LONGEST_READ` characters are read, and no more than are needed for a value longer than `longest`. A
    text without letters and digits becomes empty.
    """
    text, cleaned, rest = text[:LONGEST_READ], "", ""
    for start in range(0, len(text), _BLOCK):
        block = rest + text[start : start + _BLOCK]
        rest = "" if start + _BLOCK >= len(text) else _unfinished(block)
        cleaned = _clean(f"{cleaned} {block.removesuffix(rest)}")
        if not any(map(str.isalnum, cleaned)):
            cleaned = ""
        elif len(cleaned) > longest:
            break
    return cleaned


def _unfinished(block: str) -> str:
    """Return the end of a block that may be the beginning of a word or of a de-identification mark."""
    end = block[-_LONGEST_MARK:]
    mark = max(end.rfind("["), end.rfind("<"))
    if mark >= 0 and not re.search(r"[\]>]\S*\s", end[mark:]):
        return end[mark:]
    return end[len(end.rstrip()) :] or end.split()[-1]


def _clean(text: str) -> str:
    """Remove what a value must not contain."""
    # White space is collapsed at once, because the next pattern takes quadratic time in a long run of it.
    text = " ".join(remove_deidentified_words(strip_controls(text)).split())
    text = " ".join(re.sub(r"\( ?\)", "", text).split())
    text = re.sub(r" (?=[.,;:)])", "", text)
    return re.sub(r"([,;:])[,;:]+", r"\1", text).lstrip(".,;: ")


def cut_at_word(text: str, characters: int) -> str:
    """Return the first words of a text that have at most so many characters together, or a part of the first."""
    if len(text) <= characters:
        return text
    return text[: characters + 1].rpartition(" ")[0] or text[:characters]


def describe_views(view_positions: Iterable[str]) -> str:
    """Return the views of a study in words, each once and in the order of `ViewPosition`, such as `PA and lateral`.

    Raises:
        ValueError: A text is not a `ViewPosition`.
    """
    views = {ViewPosition(view) for view in view_positions} - {ViewPosition.UNKNOWN}
    return join_words([view.label for view in ViewPosition if view in views])


_MODALITIES: Mapping[str, str] = MappingProxyType(
    {"DX": "radiograph", "CT": "CT", "MR": "MRI", "US": "ultrasound", "PT": "PET"}
)
"""Words for the modalities of `attributes.toml`."""


def describe_kind(modalities: Iterable[str], body_parts: Iterable[str]) -> str:
    """Return the kind of a study for readers, such as "chest radiograph", or "study" if nothing is known.

    Args:
        modalities: Modalities of the study, as `value_of_term` writes them. A single one is named, several are not.
        body_parts: Body parts of the study, with the same rule.
    """
    kinds, parts = set(modalities), set(body_parts)
    kind = _MODALITIES.get(kinds.pop(), "study") if len(kinds) == 1 else "study"
    return " ".join((*(parts if len(parts) == 1 else ()), kind))


def describe_prior(modalities: Iterable[str], body_parts: Iterable[str], days_earlier: float | None) -> str:
    """Return what the section COMPARISON says about a prior study, such as "Chest radiograph, 12 days earlier.".

    Args:
        modalities: Its modalities, as `value_of_term` writes them; one is named if it is the only one.
        body_parts: Its body parts, named in the same way.
        days_earlier: Calendar days from the prior study to the study; None if they are not known.
    """
    name = describe_kind(modalities, body_parts)
    if days_earlier is None:
        return f"Earlier {name}."
    name = name[:1].upper() + name[1:]
    if days_earlier == 0:
        return f"{name}, earlier on the same day."
    return f"{name}, {days_earlier:.0f} day{'' if days_earlier == 1 else 's'} earlier."


_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def prompt_files(suffix: str) -> list[Traversable]:
    """Return the built-in prompt files with a suffix: beside the package in a checkout, inside an installed package."""
    checkout = Path(__file__).resolve().parents[1]
    in_checkout = (checkout / "pyproject.toml").is_file()
    folder: Traversable = checkout / "prompts" if in_checkout else resources.files("report_gen.prompts")
    return [file for file in folder.iterdir() if file.name.endswith(suffix)]
