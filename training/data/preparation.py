"""Prepare the corpora of a recipe for training: a vocabulary, encoded examples and decoded images.

Everything is kept in the cache of the run, so that a resumed run trains on the same examples.
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
from report_gen.corpora import ORDER_COLUMNS
from report_gen.errors import CorpusError
from report_gen.imaging.transform import ImageTransform
from report_gen.model import conditioning_type
from report_gen.prompting import Prompt, describe_views
from report_gen.records import FindingSchema, ViewPosition, format_report
from report_gen.tokenizer import ReportTokenizer

from ..recipe import Recipe, load_finding_schema
from ..run import CACHE, OnProgress, Run
from .attribute_values import choose_attributes
from .example_encoding import USED_SPLITS, EncodedCorpora, open_examples, write_corpora
from .example_store import Examples, ExampleStore
from .examples import encode_study
from .image_cache import ImageCache, cache_images
from .image_decoding import UnreadableImage
from .patient_split import assign_splits
from .pretrained_vocabulary import keep_vocabulary
from .prior_images import check_priors
from .studies import CorpusStudies, open_corpus, read_studies
from .vocabulary import PatientText, learn_vocabulary

_CORPORA, _STUDIES, _EXAMPLES = "corpora", "studies", "examples"
_VERSION = 8
"""Version of the code that makes examples. Raise it to discard stored ones."""


@dataclass(frozen=True)
class PreparedCorpora:
    """Everything that a run trains on."""

    tokenizer: ReportTokenizer
    encoded: EncodedCorpora
    images: ImageCache
    schema: FindingSchema
    """The findings that the model learns."""
    attributes: tuple[AttributeConfig, ...] = ()
    """Attributes (modality, plane, body part) that the model recognizes, with their values."""


def prepare(recipe: Recipe, run: Run, prompt: Prompt, *, on_progress: OnProgress) -> PreparedCorpora:
    """Read, clean and encode the corpora and decode their images; finished work of an earlier start is reused.

    Args:
        recipe: The recipe.
        run: Run folder, which keeps the examples and the vocabulary.
        prompt: Prompt of the model.
        on_progress: Called while the corpora are read and images are decoded.

    Raises:
        CorpusError: A corpus cannot be read, no study of it is left, or it has unreadable images.
        OutputError: A cache cannot be written.
        RecipeError: An attribute of the recipe has too few values.
        ReportGenError: A process that decodes images died.
    """
    tokenizer = run.load_tokenizer()
    encoded = None if tokenizer is None else _open(recipe, run, prompt, tokenizer)
    if tokenizer is None or encoded is None:
        tokenizer, encoded = _encode(recipe, run, prompt, tokenizer, on_progress)
    attributes = choose_attributes(recipe.model, encoded.examples)
    images, unreadable = decode_images(recipe, run, _stored_paths(encoded.examples), on_progress)
    _refuse(unreadable)
    return PreparedCorpora(tokenizer, encoded, images, load_finding_schema(recipe), attributes)


def prepare_sample(
    recipe: Recipe, run: Run, prompt: Prompt, sizes: Mapping[str, int], *, on_progress: OnProgress
) -> PreparedCorpora:
    """Prepare a sample of the corpora for a dry run; only images of the sample are decoded.

    Args:
        sizes: Split -> maximum number of studies per corpus.

    Raises:
        CorpusError, OutputError, RecipeError, ReportGenError: As `prepare`.
    """
    tokenizer, encoded = _encode(recipe, run, prompt, None, on_progress, decode=False)
    attributes = choose_attributes(recipe.model, encoded.examples)
    sampled = {
        corpus: {split: _spread(store, sizes[split]) for split, store in splits.items()}
        for corpus, splits in encoded.examples.items()
    }
    images, unreadable = decode_images(recipe, run, _stored_paths(sampled), on_progress)
    if recipe.unreadable == "refuse":
        _refuse(unreadable)
    skipped = {image.path for image in unreadable}
    for corpus, splits in sampled.items():
        _check_readable(
            corpus, (tuple(map(str, study.images)) for store in splits.values() for study in store), unreadable
        )
    readable = {
        corpus: {split: _readable(store, skipped) for split, store in splits.items()}
        for corpus, splits in sampled.items()
    }
    encoded = replace(encoded, examples=readable)
    return PreparedCorpora(tokenizer, encoded, images, load_finding_schema(recipe), attributes)


def image_transform(recipe: Recipe) -> ImageTransform:
    """Return the image transform of the recipe's model."""
    return ImageTransform.from_config(recipe.model.encoder, recipe.model.preprocessing, recipe.model.volumes)


def shared_cache(recipe: Recipe, run: Run) -> Path:
    """Return the folder of decoded images and patch features; runs may share it."""
    return run.folder / CACHE if recipe.cache is None else recipe.resolve(recipe.cache)


def _encode(
    recipe: Recipe,
    run: Run,
    prompt: Prompt,
    tokenizer: ReportTokenizer | None,
    on_progress: OnProgress,
    *,
    decode: bool = True,
) -> tuple[ReportTokenizer, EncodedCorpora]:
    """Write the examples of the run, and learn its vocabulary if it has none.

    Args:
        decode: Decode all images first, to leave out studies with unreadable ones.
    """
    working, store = run.folder / CACHE / _STUDIES, run.folder / CACHE / _CORPORA
    shutil.rmtree(working, ignore_errors=True)
    schema = load_finding_schema(recipe)
    studies = _read_corpora(recipe, working, store, schema, on_progress)
    _check_images(recipe, studies)
    check_priors(recipe, (study for corpus in studies.values() for study in corpus))
    _, unreadable = decode_images(recipe, run, _image_paths(studies.values()) if decode else (), on_progress)
    if recipe.unreadable == "refuse":
        _refuse(unreadable)
    skipped = frozenset(image.path for image in unreadable)
    for name, corpus in studies.items():
        used = (study for study in corpus if study.split in USED_SPLITS)
        _check_readable(name, (tuple(map(str, study.images)) for study in used), unreadable)
    if tokenizer is None:
        tokenizer = _make_tokenizer(recipe, prompt, _training_texts(studies.values(), prompt))
        run.save_tokenizer(tokenizer)
    encode = partial(
        encode_study,
        tokenizer=tokenizer,
        prompt=prompt,
        max_report_tokens=recipe.text.max_report_tokens,
        schema=schema,
        locations=recipe.model.locations,
    )
    folder, fingerprint = run.folder / CACHE / _EXAMPLES, _fingerprint(recipe, prompt, tokenizer)
    encoded = write_corpora(
        folder, fingerprint, studies, encode, skipped, findings=len(schema.findings), on_progress=on_progress
    )
    shutil.rmtree(working, ignore_errors=True)
    for table in store.glob("*.arrow"):  # the examples hold everything that training needs of the tables
        table.unlink()
    return tokenizer, encoded


def _make_tokenizer(recipe: Recipe, prompt: Prompt, texts: Iterable[PatientText]) -> ReportTokenizer:
    """Learn a vocabulary from the training texts, or keep that of the pretrained decoder."""
    extra = conditioning_type(recipe.model.conditioning).vocabulary_examples(recipe.model.projector)
    min_patients = recipe.text.min_word_patients
    if recipe.model.decoder.tokenizer == "own":
        return learn_vocabulary(texts, size=recipe.text.vocabulary_size, min_patients=min_patients, extra=extra)
    lines = (*extra, prompt.text, describe_views(ViewPosition))
    return keep_vocabulary(recipe.model, texts, min_patients=min_patients, extra=lines)


def _read_corpora(
    recipe: Recipe, working: Path, store: Path, schema: FindingSchema, on_progress: OnProgress
) -> dict[str, CorpusStudies]:
    """Read all corpora, split their patients, and clean them one by one."""
    datasets = {
        one.name: open_corpus(one, recipe, schema=schema, store=store, use_images=one.use_images)
        for one in recipe.corpora
    }
    splits = assign_splits(recipe.corpora, datasets)
    return {
        one.name: read_studies(
            one,
            recipe,
            working / str(number),
            dataset=datasets[one.name],
            splits=splits[one.name],
            schema=schema,
            on_progress=on_progress,
        )
        for number, one in enumerate(recipe.corpora)
    }


def _open(recipe: Recipe, run: Run, prompt: Prompt, tokenizer: ReportTokenizer) -> EncodedCorpora | None:
    return open_examples(run.folder / CACHE / _EXAMPLES, _fingerprint(recipe, prompt, tokenizer))


def _fingerprint(recipe: Recipe, prompt: Prompt, tokenizer: ReportTokenizer) -> str:
    """Hash everything that the examples depend on, except the corpora, because a run keeps its first copy."""
    keys = recipe.model_dump(mode="json", include={"data", "seed", "text", "corpora", "unreadable"})
    keys["locations"] = recipe.model.locations
    keys["priors"] = recipe.model.sequence is not None and recipe.model.sequence.priors
    keys["scope"] = recipe.model.scope.model_dump(mode="json") if keys["priors"] else None
    schema = asdict(load_finding_schema(recipe))
    contents = [_VERSION, keys, schema, prompt.text, hashlib.sha256(tokenizer.to_bytes()).hexdigest()]
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()


def decode_images(
    recipe: Recipe, run: Run, paths: Iterable[str], on_progress: OnProgress
) -> tuple[ImageCache, Sequence[UnreadableImage]]:
    """Decode images into the shared cache. Return the cache and the images that cannot be read."""
    return cache_images(shared_cache(recipe, run), paths, image_transform(recipe), on_progress=on_progress)


def _check_images(recipe: Recipe, studies: Mapping[str, CorpusStudies]) -> None:
    """Raise CorpusError if a corpus whose images are to be used lists none: its reports would train no encoder."""
    for corpus in recipe.corpora:
        if corpus.use_images and not any(study.images for study in studies[corpus.name]):
            raise CorpusError(
                f"{recipe.resolve(corpus.path)}: no study of the corpus {corpus.name!r} has an image, and the model "
                'has an image encoder; name the column of the images (columns = { image = "NAME" }; `report-gen corpus '
                "check` lists the columns), or set use_images = false for a corpus of texts"
            )


def _refuse(unreadable: Sequence[UnreadableImage]) -> None:
    if unreadable:
        first = unreadable[0]
        raise CorpusError(
            f"{first.path}: {first.reason.rstrip('.')} - the first of {len(unreadable)} unreadable images; repair "
            'them, or leave their studies out with unreadable = "leave-out"'
        )


def _check_readable(name: str, images: Iterable[Sequence[str]], unreadable: Sequence[UnreadableImage]) -> None:
    """Raise CorpusError if every study of a corpus has an image that cannot be read, so that all are left out.

    Args:
        name: The corpus.
        images: Paths of the images of each study.
        unreadable: Images that are missing or cannot be read.
    """
    reasons = {image.path: image.reason for image in unreadable}
    first = ""
    for study in images if reasons else ():
        faulty = next((path for path in study if path in reasons), None)
        if faulty is None:
            return
        first = first or faulty
    if first:
        raise CorpusError(
            f"no study of the corpus {name!r} is left, because each has a missing or unreadable image: {first}: "
            f"{reasons[first].rstrip('.')} - the first of {len(reasons)}; correct the names, or repair the images"
        )


def _stored_paths(examples: Examples) -> Iterator[str]:
    return (path for splits in examples.values() for store in splits.values() for path in store.image_paths())


def _spread(store: ExampleStore, size: int) -> ExampleStore:
    """Select at most `size` examples, evenly spaced."""
    return store.select(np.unique(np.linspace(0, len(store) - 1, min(size, len(store))).astype(np.int64)))


def _readable(store: ExampleStore, unreadable: AbstractSet[str]) -> ExampleStore:
    readable = [unreadable.isdisjoint(map(str, example.images)) for example in store]
    return store.select(np.flatnonzero(readable))


def _image_paths(corpora: Iterable[CorpusStudies]) -> Iterator[str]:
    used = (study for corpus in corpora for study in corpus if study.split in USED_SPLITS)
    return (str(image) for study in used for image in study.images)


def _training_texts(corpora: Iterable[CorpusStudies], prompt: Prompt) -> Iterator[PatientText]:
    """Yield the training reports, their indications, and the other texts that the prompt contains."""
    others = sorted({"comparison", "prior_report", *ORDER_COLUMNS} & prompt.placeholders)
    for corpus in corpora:
        for study in corpus:
            if study.split == "train":
                yield PatientText(format_report(study.sections), study.patient_id)
                yield PatientText(study.indication, study.patient_id)
                yield from (PatientText(text, study.patient_id) for name in others if (text := getattr(study, name)))
