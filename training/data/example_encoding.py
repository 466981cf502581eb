"""Write the encoded examples of all corpora to one folder, and open it if it matches the recipe."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from report_gen.files import write_atomically

from ..run import OnProgress, read_json, report_progress
from .arrow_rows import Rows, cannot_write
from .corpus_study import CorpusStudy
from .example_store import Examples, ExampleStore, write_examples
from .examples import TrainingExample
from .studies import CorpusStudies

_CONTENTS = "contents.json"
USED_SPLITS = ("train", "val")
"""Splits that a training run reads."""


@dataclass(frozen=True)
class EncodedCorpora:
    """The encoded examples of all corpora of a recipe."""

    examples: Examples
    counts: Mapping[str, Mapping[str, int]]
    """Corpus name -> split -> number of studies."""
    left_out: Mapping[str, int]
    """Corpus name -> number of studies left out because an image cannot be read."""


@dataclass(frozen=True)
class _Contents:
    fingerprint: str
    sizes: Mapping[str, int]
    """File name -> size in bytes."""
    counts: Mapping[str, Mapping[str, int]]
    left_out: Mapping[str, int]


_STORED = TypeAdapter(_Contents)


def open_examples(folder: Path, fingerprint: str) -> EncodedCorpora | None:
    """Open the examples of a folder; None if it is incomplete or was made from something else."""
    try:
        contents = _STORED.validate_python(read_json(folder / _CONTENTS))
        whole = all((folder / name).stat().st_size == size for name, size in contents.sizes.items())
        if contents.fingerprint != fingerprint or not whole:
            return None
        return _open(folder, contents.counts, contents.left_out)
    except (OSError, ValueError, LookupError):  # any damage: the examples are written anew
        return None


def write_corpora(
    folder: Path,
    fingerprint: str,
    studies: Mapping[str, CorpusStudies],
    encode: Callable[[CorpusStudy], TrainingExample],
    unreadable: Collection[str],
    *,
    findings: int,
    on_progress: OnProgress,
) -> EncodedCorpora:
    """Write the examples of every corpus and open them. The folder is complete or absent at any moment.

    Args:
        fingerprint: Identifies what the examples are made from; `open_examples` compares it.
        unreadable: Paths of images that cannot be read; their studies are left out.
        findings: Number of findings F of an example.

    Raises:
        OutputError: A file cannot be written; the message names it and the remedy.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    counts = {
        name: dict(Counter(study.split for study in _readable(corpus, unreadable))) for name, corpus in studies.items()
    }
    left_out = {name: sum(1 for _ in corpus) - sum(counts[name].values()) for name, corpus in studies.items()}
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for number, (name, corpus) in enumerate(studies.items()):
            for split in USED_SPLITS:
                chosen = (study for study in _readable(corpus, unreadable) if study.split == split)
                task, total = f"encoding {name}, {split}", counts[name].get(split, 0)
                encoded = map(encode, report_progress(chosen, task, total, on_progress))
                write_examples(temporary / _file(number, split), encoded, findings=findings)
        sizes = {path.name: path.stat().st_size for path in temporary.iterdir()}
        write_atomically(
            temporary / _CONTENTS, json.dumps(asdict(_Contents(fingerprint, sizes, counts, left_out)), indent=2)
        )
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
        return _open(folder, counts, left_out)
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _open(folder: Path, counts: Mapping[str, Mapping[str, int]], left_out: Mapping[str, int]) -> EncodedCorpora:
    examples = {
        corpus: {split: ExampleStore(Rows(folder / _file(number, split))) for split in USED_SPLITS}
        for number, corpus in enumerate(counts)
    }
    return EncodedCorpora(examples, counts, left_out)


def _readable(corpus: CorpusStudies, unreadable: Collection[str]) -> Iterator[CorpusStudy]:
    return (study for study in corpus if not any(str(image) in unreadable for image in study.images))


def _file(number: int, split: str) -> str:
    """Return the file name of a split. Corpora are numbered: their names may hold characters that files may not."""
    return f"{number}-{split}.arrow"
