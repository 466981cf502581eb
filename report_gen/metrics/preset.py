"""Presets: how texts are prepared before words are counted. Cleaning, casing, rare words and length are TOML data.

A score is meaningful only with its preset: the same drafts score BLEU-4 0.18 under `r2gen-iu` and 0.06 as written.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from report_gen.errors import UsageError

_SHIPPED = resources.files(__package__) / "presets"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Step(_Table):
    """One replacement, repeated `times` times."""

    find: str = Field(min_length=1)
    put: str
    times: int = Field(default=1, ge=1, le=10)
    regex: bool = False
    """Whether `find` is a regular expression."""

    def apply(self, text: str) -> str:
        """Replace every occurrence."""
        for _ in range(self.times):
            text = re.sub(self.find, self.put, text) if self.regex else text.replace(self.find, self.put)
        return text


class Sentences(_Table):
    """Split the trimmed text, delete characters in each piece, and join the pieces."""

    split: str = Field(min_length=1)
    delete: str = ""
    join: str
    end: str = ""

    def apply(self, text: str) -> str:
        """Clean a text."""
        deletion = str.maketrans("", "", self.delete)
        return self.join.join(piece.translate(deletion).strip() for piece in text.strip().split(self.split)) + self.end


class Cleaning(_Table):
    """How the texts of one side are cleaned: replacements, then sentences, then white space."""

    steps: tuple[Step, ...] = ()
    sentences: Sentences | None = None

    def apply(self, text: str, *, lowercase: bool) -> str:
        """Clean a text; runs of white space become one space."""
        text = reduce(lambda cleaned, step: step.apply(cleaned), self.steps, text)
        text = text.lower() if lowercase else text
        text = self.sentences.apply(text) if self.sentences else text
        return " ".join(text.split())


class Vocabulary(_Table):
    """Which words of the references are replaced as unknown."""

    min_count: int = Field(ge=1)
    """Words that occur less often in the cleaned training reports are unknown."""
    unknown: str
    """Replacement of unknown words in the references."""


class Truncation(_Table):
    """How long a reference may be."""

    words: int = Field(ge=1)
    """References are cut to this number of words. Predictions are not cut."""


class Preset(_Table):
    """How predictions and references are prepared for wording metrics."""

    name: str
    description: str = ""
    lowercase: bool = False
    references: Cleaning = Field(default_factory=Cleaning)
    predictions: Cleaning = Field(default_factory=Cleaning)
    vocabulary: Vocabulary | None = None
    truncation: Truncation | None = None

    def prepare_predictions(self, texts: Iterable[str]) -> list[str]:
        """Clean predictions."""
        return [self.predictions.apply(text, lowercase=self.lowercase) for text in texts]

    def prepare_references(self, texts: Iterable[str], known: frozenset[str] | None) -> list[str]:
        """Clean and cut references, and replace the words that are not `known`; None replaces no word."""
        cleaned = (self.references.apply(text, lowercase=self.lowercase) for text in texts)
        return [self._truncate_and_replace(text, known) for text in cleaned]

    def known_words(self, train: Sequence[str] | None) -> frozenset[str] | None:
        """Return the words that are frequent enough in training reports; None without a threshold or reports."""
        if self.vocabulary is None or train is None:
            return None
        cleaned = (self.references.apply(text, lowercase=self.lowercase) for text in train)
        counts = Counter(word for text in cleaned for word in text.split())
        return frozenset(word for word, count in counts.items() if count >= self.vocabulary.min_count)

    def signature(self, known: frozenset[str] | None, reports: int, version: str) -> str:
        """Describe the settings that comparable scores must share, in the manner of sacrebleu.

        Args:
            known: The vocabulary from `known_words`.
            reports: Number of reports scored.
            version: Version of report-gen.
        """
        unknown = f"train>={self.vocabulary.min_count}" if self.vocabulary and known is not None else "kept"
        return "|".join(
            [
                f"preset:{self.name}",
                f"case:{'lc' if self.lowercase else 'mixed'}",
                "tok:whitespace",
                f"cut:{self.truncation.words if self.truncation else 'no'}",
                f"rare:{unknown}",
                "refs:1",
                f"reports:{reports}",
                f"version:{version}",
            ]
        )

    def _truncate_and_replace(self, text: str, known: frozenset[str] | None) -> str:
        words = text.split()[: self.truncation.words if self.truncation else None]
        if known is not None and self.vocabulary is not None:
            words = [word if word in known else self.vocabulary.unknown for word in words]
        return " ".join(words)


def load_preset(name: str) -> Preset:
    """Load a shipped preset by its name, or a user's preset by the path of its .toml file.

    Raises:
        UsageError: The name is unknown, or the file cannot be read or is not a preset.
    """
    if name in preset_names():
        return _parse((_SHIPPED / f"{name}.toml").read_bytes(), name, name)
    path = Path(name)
    if path.suffix != ".toml":
        known = ", ".join(preset_names())
        raise UsageError(f"there is no preset {name!r}; use one of {known}, or the path of a .toml file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: the preset cannot be read ({error.strerror}); check the path") from error
    return _parse(data, f"{path.name}#{hashlib.sha256(data).hexdigest()[:8]}", str(path))


def preset_names() -> tuple[str, ...]:
    """List the names of the shipped presets."""
    files = (entry.name for entry in _SHIPPED.iterdir())
    return tuple(sorted(file.removesuffix(".toml") for file in files if file.endswith(".toml")))


def _parse(data: bytes, name: str, source: str) -> Preset:
    try:
        table: dict[str, Any] = tomllib.loads(data.decode())
        preset = Preset.model_validate({**table, "name": name})
        for step in (*preset.references.steps, *preset.predictions.steps):
            step.apply("")  # compiles the expression and the replacement
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{source}: not a preset: {key}: {first['msg']}; correct the file") from error
    except (ValueError, LookupError, OverflowError, RecursionError, re.error) as error:
        raise UsageError(f"{source}: not a preset: {error}; correct the file") from error
    return preset
