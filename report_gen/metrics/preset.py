"""How texts are prepared before anything is counted: cleaning, casing, rare words, length. A preset is TOML data.

A figure without its preset means nothing: the same drafts score BLEU-4 0.18 under `r2gen-iu` and 0.06 as they stand.
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
    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(_Table):
    """One replacement, done `times` over."""

    find: str = Field(min_length=1)
    put: str
    times: int = Field(default=1, ge=1)
    regex: bool = False
    """Whether `find` is a regular expression."""

    def apply(self, text: str) -> str:
        for _ in range(self.times):
            text = re.sub(self.find, self.put, text) if self.regex else text.replace(self.find, self.put)
        return text


class Sentences(_Table):
    """The text is trimmed and split, characters are deleted in each piece, the pieces joined again."""

    split: str = Field(min_length=1)
    delete: str = ""
    join: str
    end: str = ""

    def apply(self, text: str) -> str:
        without = str.maketrans("", "", self.delete)
        return self.join.join(piece.translate(without).strip() for piece in text.strip().split(self.split)) + self.end


class Cleaning(_Table):
    steps: tuple[Step, ...] = ()
    sentences: Sentences | None = None

    def apply(self, text: str, *, lowercase: bool) -> str:
        text = reduce(lambda done, step: step.apply(done), self.steps, text)
        text = text.lower() if lowercase else text
        text = self.sentences.apply(text) if self.sentences else text
        return " ".join(text.split())


class Vocabulary(_Table):
    min_count: int = Field(ge=1)
    """Words of the cleaned training reports that are rarer than this are unknown."""
    unknown: str
    """What stands for them in the references."""


class Truncation(_Table):
    words: int = Field(ge=1)
    """What is longer is cut in the references; a draft stays as long as it is."""


class Preset(_Table):
    name: str
    description: str = ""
    lowercase: bool = False
    references: Cleaning = Cleaning()
    predictions: Cleaning = Cleaning()
    vocabulary: Vocabulary | None = None
    truncation: Truncation | None = None

    def prepare_predictions(self, texts: Iterable[str]) -> list[str]:
        return [self.predictions.apply(text, lowercase=self.lowercase) for text in texts]

    def prepare_references(self, texts: Iterable[str], known: frozenset[str] | None) -> list[str]:
        """Clean, cut and replace the words that are not `known`; with None every word stays."""
        cleaned = (self.references.apply(text, lowercase=self.lowercase) for text in texts)
        return [self._lose(text, known) for text in cleaned]

    def known_words(self, train: Sequence[str] | None) -> frozenset[str] | None:
        """The words that training reports hold often enough; None without a threshold or without reports."""
        if self.vocabulary is None or train is None:
            return None
        cleaned = (self.references.apply(text, lowercase=self.lowercase) for text in train)
        counts = Counter(word for text in cleaned for word in text.split())
        return frozenset(word for word, count in counts.items() if count >= self.vocabulary.min_count)

    def signature(self, known: frozenset[str] | None, reports: int, version: str) -> str:
        """What must be equal for two figures to be comparable, in the manner of sacrebleu."""
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

    def _lose(self, text: str, known: frozenset[str] | None) -> str:
        words = text.split()[: self.truncation.words if self.truncation else None]
        if known is not None and self.vocabulary is not None:
            words = [word if word in known else self.vocabulary.unknown for word in words]
        return " ".join(words)


def load_preset(name: str) -> Preset:
    """A shipped preset by its name, or one of your own by the path of its .toml file.

    Raises UsageError for an unknown name and for a file that is not a preset.
    """
    if name in preset_names():
        return _parse((_SHIPPED / f"{name}.toml").read_bytes(), name, name)
    path = Path(name)
    if path.suffix != ".toml":
        known = ", ".join(preset_names())
        raise UsageError(f"There is no preset {name!r}: use one of {known}, or the path of a .toml file.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: the preset cannot be read ({error.strerror}).") from error
    return _parse(data, f"{path.name}#{hashlib.sha256(data).hexdigest()[:8]}", str(path))


def preset_names() -> tuple[str, ...]:
    """The shipped presets."""
    files = (entry.name for entry in _SHIPPED.iterdir())
    return tuple(sorted(file.removesuffix(".toml") for file in files if file.endswith(".toml")))


def _parse(data: bytes, name: str, source: str) -> Preset:
    try:
        table: dict[str, Any] = tomllib.loads(data.decode())
        preset = Preset.model_validate({**table, "name": name})
        for step in (*preset.references.steps, *preset.predictions.steps):
            re.compile(step.find if step.regex else "")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, re.error) as error:
        raise UsageError(f"{source}: not a preset, {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(key) for key in first["loc"])
        raise UsageError(f"{source}: not a preset, {where}: {first['msg']}.") from error
    return preset
