"""From the corpora of a recipe to what the steps of a run are fed with: a vocabulary, examples and decoded images.

It all lies in the cache of the run, so that a resumed run learns from the very same examples.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from report_gen.config import AttributeConfig
from report_gen.errors import CorpusError
from report_gen.imaging.transform import ImageTransform
from report_gen.model import conditioning_type
from report_gen.prompting import Prompt
from report_gen.records.findings import FindingSchema
from report_gen.records.report import format_report
from report_gen.tokenizer import ReportTokenizer

from ..recipe.findings import load_finding_schema
from ..recipe.schema import Recipe
from ..run.folder import Run
from ..run.reporting import OnProgress
from .attribute_values import choose_attributes
from .example_encoding import TAUGHT, Encoded, open_examples, write_all
from .example_store import Examples, ExampleStore
from .examples import encode_study
from .image_cache import ImageCache, cache_images
from .image_decoding import Fault
from .studies import Studies, read_studies
from .vocabulary import learn_vocabulary

CACHE = "cache"
_CORPORA, _STUDIES, _EXAMPLES = "corpora", "studies", "examples"
_VERSION = 3
"""Of the code that makes examples: raise it, and they are made anew."""


@dataclass(frozen=True)
class Prepared:
    """What a run learns from."""

    tokenizer: ReportTokenizer
    encoded: Encoded
    images: ImageCache
    schema: FindingSchema
    """The findings that it learns."""
    attributes: tuple[AttributeConfig, ...] = ()
    """What the model tells apart of modality, plane and body part."""


def prepare(recipe: Recipe, run: Run, prompt: Prompt, *, on_progress: OnProgress) -> Prepared:
    """Read, clean and encode the corpora and decode their images, as far as that was not done before.

    Raises:
        CorpusError: a corpus cannot be read, nothing of it is left, or it has images that cannot be read.
        OutputError: a cache cannot be written.
        RecipeError: an attribute of the recipe has nothing to tell apart.
        ReportGenError: a process that decodes images died.
    """
    tokenizer = run.kept_tokenizer()
    encoded = None if tokenizer is None else _open(recipe, run, prompt, tokenizer)
    if tokenizer is None or encoded is None:
        tokenizer, encoded = _make(recipe, run, prompt, tokenizer, on_progress)
    attributes = choose_attributes(recipe.model, encoded.examples)
    images, faults = _decode(recipe, run, _stored_paths(encoded.examples), on_progress)
    _refuse(faults)
    return Prepared(tokenizer, encoded, images, load_finding_schema(recipe), attributes)


def prepare_sample(
    recipe: Recipe, run: Run, prompt: Prompt, sizes: Mapping[str, int], *, on_progress: OnProgress
) -> Prepared:
    """As `prepare`, but with so many studies of each corpus at most, by split, and no images but theirs.

    Raises:
        CorpusError, OutputError, RecipeError, ReportGenError: as `prepare`.
    """
    tokenizer, encoded = _make(recipe, run, prompt, None, on_progress, decode=False)
    attributes = choose_attributes(recipe.model, encoded.examples)
    sampled = {
        corpus: {split: _spread(store, sizes[split]) for split, store in splits.items()}
        for corpus, splits in encoded.examples.items()
    }
    images, faults = _decode(recipe, run, _stored_paths(sampled), on_progress)
    if recipe.unreadable == "refuse":
        _refuse(faults)
    unreadable = {fault.path for fault in faults}
    readable = {
        corpus: {split: _readable(store, unreadable) for split, store in splits.items()}
        for corpus, splits in sampled.items()
    }
    return Prepared(tokenizer, replace(encoded, examples=readable), images, load_finding_schema(recipe), attributes)


def transform_of(recipe: Recipe) -> ImageTransform:
    """What the recipe's encoder wants of an image."""
    encoder = recipe.model.encoder
    return ImageTransform(size=encoder.image_size, channels=encoder.channels, mean=encoder.mean, std=encoder.std)


def shared_cache(recipe: Recipe, run: Run) -> Path:
    """Where decoded images and patch features lie, of this run alone or of several."""
    return run.folder / CACHE if recipe.cache is None else recipe.resolve(recipe.cache)


def _make(
    recipe: Recipe,
    run: Run,
    prompt: Prompt,
    tokenizer: ReportTokenizer | None,
    on_progress: OnProgress,
    *,
    decode: bool = True,
) -> tuple[ReportTokenizer, Encoded]:
    """Write the examples of the run, and learn its vocabulary if there is none yet; `decode` looks at images before."""
    working, store = run.folder / CACHE / _STUDIES, run.folder / CACHE / _CORPORA
    shutil.rmtree(working, ignore_errors=True)
    schema = load_finding_schema(recipe)
    studies = {
        corpus.name: read_studies(
            corpus, recipe, working / str(number), schema=schema, store=store, on_progress=on_progress
        )
        for number, corpus in enumerate(recipe.corpora)
    }
    _, faults = _decode(recipe, run, _image_paths(studies.values()) if decode else (), on_progress)
    if recipe.unreadable == "refuse":
        _refuse(faults)
    if tokenizer is None:
        examples = conditioning_type(recipe.model.conditioning).vocabulary_examples(recipe.model.projector)
        tokenizer = learn_vocabulary(_words(studies.values()), size=recipe.text.vocabulary_size, also=examples)
        run.keep_tokenizer(tokenizer)
    encode = partial(encode_study, tokenizer=tokenizer, prompt=prompt, longest=recipe.text.longest, schema=schema)
    folder, mark = run.folder / CACHE / _EXAMPLES, _mark(recipe, prompt, tokenizer)
    unreadable = frozenset(fault.path for fault in faults)
    encoded = write_all(
        folder, mark, studies, encode, unreadable, findings=len(schema.findings), on_progress=on_progress
    )
    shutil.rmtree(working, ignore_errors=True)
    for table in store.glob("*.arrow"):  # the examples hold what is needed of it
        table.unlink()
    return tokenizer, encoded


def _open(recipe: Recipe, run: Run, prompt: Prompt, tokenizer: ReportTokenizer) -> Encoded | None:
    return open_examples(run.folder / CACHE / _EXAMPLES, _mark(recipe, prompt, tokenizer))


def _mark(recipe: Recipe, prompt: Prompt, tokenizer: ReportTokenizer) -> str:
    """A digest of all that decides over the examples but the corpora themselves: a run goes on with what it read."""
    decisive = recipe.model_dump(mode="json", include={"data", "seed", "text", "corpora", "unreadable"})
    schema = asdict(load_finding_schema(recipe))
    words = [_VERSION, decisive, schema, prompt.text, hashlib.sha256(tokenizer.to_bytes()).hexdigest()]
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()


def _decode(
    recipe: Recipe, run: Run, paths: Iterable[str], on_progress: OnProgress
) -> tuple[ImageCache, Sequence[Fault]]:
    return cache_images(shared_cache(recipe, run), paths, transform_of(recipe), on_progress=on_progress)


def _refuse(faults: Sequence[Fault]) -> None:
    if faults:
        first = faults[0]
        raise CorpusError(
            f"{first.path}: {first.reason.rstrip('.')} - the first of {len(faults)} unreadable images; mend them, or "
            'leave their studies out (unreadable = "leave-out")'
        )


def _stored_paths(examples: Examples) -> Iterator[str]:
    return (path for splits in examples.values() for store in splits.values() for path in store.image_paths())


def _spread(store: ExampleStore, size: int) -> ExampleStore:
    """So many examples at most, evenly from beginning to end."""
    return store.select(np.unique(np.linspace(0, len(store) - 1, min(size, len(store))).astype(np.int64)))


def _readable(store: ExampleStore, unreadable: AbstractSet[str]) -> ExampleStore:
    whole = [unreadable.isdisjoint(map(str, example.images)) for example in store]
    return store.select(np.flatnonzero(whole))


def _image_paths(corpora: Iterable[Studies]) -> Iterator[str]:
    return (str(image) for corpus in corpora for study in corpus if study.split in TAUGHT for image in study.images)


def _words(corpora: Iterable[Studies]) -> Iterator[str]:
    """The training reports and their indications."""
    for corpus in corpora:
        for study in corpus:
            if study.split == "train":
                yield format_report(study.sections)
                yield study.indication
