"""The examples of all corpora in one folder, whole or not at all, which says what they were made from."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from report_gen.files import write_atomically

from ..run.reporting import OnProgress, reported
from .arrow_rows import Rows, cannot_write
from .example_store import Examples, ExampleStore, write_examples
from .examples import TrainingExample
from .studies import Studies, Study

_CONTENTS = "contents.json"
TAUGHT = ("train", "val")
"""Splits that a run looks at."""


@dataclass(frozen=True)
class Encoded:
    examples: Examples
    counts: Mapping[str, Mapping[str, int]]
    """Corpus name -> split -> studies."""
    left_out: Mapping[str, int]
    """Corpus name -> studies that were left out, since an image of theirs cannot be read."""


@dataclass(frozen=True)
class _Contents:
    mark: str
    sizes: Mapping[str, int]
    """File name -> bytes."""
    counts: Mapping[str, Mapping[str, int]]
    left_out: Mapping[str, int]


def open_examples(folder: Path, mark: str) -> Encoded | None:
    """The examples of a folder, if they are whole and bear the mark."""
    try:
        contents = _Contents(**json.loads((folder / _CONTENTS).read_bytes()))
        whole = all((folder / name).stat().st_size == size for name, size in contents.sizes.items())
        if contents.mark != mark or not whole:
            return None
        return _open(folder, contents.counts, contents.left_out)
    except (OSError, ValueError, TypeError):
        return None


def write_all(
    folder: Path,
    mark: str,
    studies: Mapping[str, Studies],
    encode: Callable[[Study], TrainingExample],
    unreadable: Collection[str],
    *,
    findings: int,
    on_progress: OnProgress,
) -> Encoded:
    """Write the examples of every corpus, but for studies that have an unreadable image, and open them.

    Args:
        folder: where they are written.
        mark: what they were made from.
        studies: by corpus.
        encode: makes an example of a study.
        unreadable: paths of images.
        findings: F, the number of findings of an example.
        on_progress: told of the progress.

    Raises:
        OutputError: naming the file and the remedy.
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
            for split in TAUGHT:
                chosen = (study for study in _readable(corpus, unreadable) if study.split == split)
                told = reported(chosen, f"encoding {name}, {split}", counts[name].get(split, 0), on_progress)
                write_examples(temporary / _file(number, split), map(encode, told), findings=findings)
        sizes = {path.name: path.stat().st_size for path in temporary.iterdir()}
        write_atomically(temporary / _CONTENTS, json.dumps(asdict(_Contents(mark, sizes, counts, left_out)), indent=2))
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
        return _open(folder, counts, left_out)
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _open(folder: Path, counts: Mapping[str, Mapping[str, int]], left_out: Mapping[str, int]) -> Encoded:
    examples = {
        corpus: {split: ExampleStore(Rows(folder / _file(number, split))) for split in TAUGHT}
        for number, corpus in enumerate(counts)
    }
    return Encoded(examples, counts, left_out)


def _readable(corpus: Studies, unreadable: Collection[str]) -> Iterator[Study]:
    return (study for study in corpus if not any(str(image) in unreadable for image in study.images))


def _file(number: int, split: str) -> str:
    """Numbered, for a recipe may call a corpus what no file may be called."""
    return f"{number}-{split}.arrow"
