"""What generating texts costs, against other software with the same weights and the same texts.

The other software is `generate` of transformers, or a greedy loop around an exported step of the decoder, see
`exported_decoders.py`. That loop gives no probabilities of tokens and has no beam search, so that only greedy decoding
without probabilities is compared with it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch

from report_gen.config import ModelConfig
from report_gen.drafting import Drafter, DraftRequest, StudyPreprocessor
from report_gen.errors import StudyError
from report_gen.generation import (
    DEFAULT_DECODING,
    CachedDecoder,
    Decoding,
    Proposer,
    find_cached_decoder,
    generate_tokens,
)
from report_gen.imaging import read_study
from report_gen.labeling import chest_xray
from report_gen.model import Checkpoint, ReportModel, load_checkpoint
from report_gen.phantom import draw_chest, write_png
from report_gen.records import Study

from .exported_decoders import RUNTIMES, with_exported_decoder
from .pairs import Case

_VOCABULARY = 10_000
_SIZES: dict[str, dict[str, Any]] = {
    "GPT-2, 24 million": {"model_type": "gpt2", "n_embd": 512, "n_layer": 6, "n_head": 8, "n_positions": 512},
    "Llama, 111 million": {
        "model_type": "llama",
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
    },
}
"""Decoders with random weights; the second one has the layers of SmolLM2-135M and a smaller vocabulary."""
RANDOM_DECODING = Decoding(max_tokens=60)
"""Decoding of the decoders with random weights."""
_PREFIXES = (60, 260)
_PROMPT_ID = 100


Item = TypeVar("Item")


class NoProposals(Proposer):
    """Proposes no tokens, so that every forward pass generates one."""

    def __init__(self) -> None:
        super().__init__([[]])

    def propose(self, study: int, tokens: Sequence[int], *, most: int) -> list[int]:
        """Return no token."""
        return []


class Conditioned(NamedTuple):
    """What generation gets for B studies."""

    visual_tokens: torch.Tensor
    """[B,K,D_txt]."""
    visual_mask: torch.Tensor
    """[B,K] bool."""
    prompt_ids: Sequence[Sequence[int]]
    """Token ids of B prompts, without the begin token."""


class RandomDecoder(NamedTuple):
    """A decoder with random weights, and what one text begins with."""

    name: str
    model: ReportModel
    other: ReportModel
    """The same decoder, whose texts other software generates."""
    texts: Conditioned


def generation_cases(
    checkpoint: str, studies: Sequence[Study], *, against: str | None, sizes: bool, folder: Path
) -> Iterator[Case]:
    """Yield the cases of a checkpoint, and those of larger decoders with random weights.

    Args:
        checkpoint: Folder of the checkpoint, or name of an embedded one.
        studies: Studies to draft; they are repeated to fill a batch.
        against: Other software that does the same work: `transformers`, `onnxruntime` or `openvino`; None for none.
        sizes: Whether larger decoders are measured too.
        folder: Folder for exported decoders.

    Raises:
        UsageError: The decoder cannot be exported.
    """
    ours = load_checkpoint(checkpoint)
    theirs = _other_checkpoint(checkpoint, against, folder)
    exported = against in RUNTIMES
    if not exported:
        yield from _draft_cases(ours, theirs, studies)
    methods = {"greedy": Decoding()} if exported else {"greedy": Decoding(), "beam": Decoding(method="beam")}
    for name, decoding in methods.items():
        for batch in (1, 8, 32):
            texts = condition(ours, _repeated(studies, batch))
            yield Case(
                name=f"{name}, batch {batch}",
                units=batch,
                unit="text",
                ours=token_writer(ours.model, texts, decoding, with_probabilities=not exported),
                theirs=None
                if theirs is None
                else token_writer(theirs.model, texts, decoding, with_probabilities=not exported),
            )
    if sizes:
        yield from _size_cases(against, folder)


def _other_checkpoint(checkpoint: str, against: str | None, folder: Path) -> Checkpoint | None:
    """Return the checkpoint with a decoder whose texts other software generates."""
    if against is None:
        return None
    if against == "transformers":
        return unknown_to_report_gen(load_checkpoint(checkpoint, with_transformers=True))
    other = load_checkpoint(checkpoint)
    with_exported_decoder(other.model, against, folder)
    return other


def _draft_cases(ours: Checkpoint, theirs: Checkpoint | None, studies: Sequence[Study]) -> Iterator[Case]:
    for batch in (1, 8):
        chosen = _repeated(studies, batch)
        yield Case(
            name=f"default draft, batch {batch}",
            units=batch,
            unit="study",
            ours=draft_writer(Drafter.from_checkpoint(ours, device="cpu"), chosen),
            theirs=None if theirs is None else draft_writer(Drafter.from_checkpoint(theirs, device="cpu"), chosen),
        )


@torch.inference_mode()
def condition(checkpoint: Checkpoint, studies: Sequence[Study]) -> Conditioned:
    """Return what generation gets for B studies, with the findings that the model predicts.

    Raises:
        StudyError: A study cannot be read.
    """
    model, preprocessor = checkpoint.model, StudyPreprocessor(checkpoint)
    loaded = [_require(preprocessor.load(DraftRequest(study), force=True)) for study in studies]
    visual = model.encode_images(*preprocessor.collate(loaded))
    tokens, mask = model.visual_tokens(model.decide(model.probabilities(visual.finding_logits)), visual)
    longest = DEFAULT_DECODING.max_tokens
    prompts = [_require(preprocessor.prepare(item, max_report_tokens=longest)).prompt.token_ids for item in loaded]
    return Conditioned(tokens, mask, prompts)


def draw_studies(folder: Path, count: int) -> list[Study]:
    """Draw phantoms of chest radiographs as studies."""
    return [read_study(write_png(folder / f"{seed}.png", draw_chest(seed=seed))) for seed in range(count)]


def unknown_to_report_gen(checkpoint: Checkpoint) -> Checkpoint:
    """Give the decoder, a model of transformers, an unknown type: then transformers generates its texts."""
    _unknown(checkpoint.model)
    return checkpoint


def _unknown(model: ReportModel) -> ReportModel:
    language_model = model.decoder.language_model
    language_model.__class__ = type("OtherDecoder", (type(language_model),), {})
    return model


def _repeated(studies: Sequence[Study], count: int) -> list[Study]:
    return [studies[index % len(studies)] for index in range(count)]


def _require(item: Item | StudyError) -> Item:
    if isinstance(item, StudyError):
        raise item
    return item


def draft_writer(drafter: Drafter, studies: Sequence[Study]) -> Callable[[], list[str]]:
    """Return a function that drafts studies as `report-gen draft` does, from files to sections."""

    def draft() -> list[str]:
        reports = map(_require, drafter.draft_all(studies, batch_size=len(studies), force=True))
        return ["\n".join(section.text for section in report.sections) for report in reports]

    return draft


def token_writer(
    model: ReportModel,
    texts: Conditioned,
    decoding: Decoding,
    *,
    with_probabilities: bool = True,
    decoder: CachedDecoder | None = None,
) -> Callable[[], list[tuple[int, ...]]]:
    """Return a function that generates the token ids of texts, without speculative decoding.

    Decoders with random weights repeat tokens, so proposals from the text would be right more often than for reports.

    Args:
        model: The model.
        texts: What the texts begin with.
        decoding: Method and length.
        with_probabilities: Whether the probabilities of the tokens are computed too.
        decoder: Fast decoder of the model; by default a new one, which is kept as in a `Drafter`.
    """
    decoder = decoder or find_cached_decoder(model.decoder.language_model)

    def generate() -> list[tuple[int, ...]]:
        generated = generate_tokens(
            model,
            **texts._asdict(),
            decoding=decoding,
            proposer=NoProposals(),
            with_probabilities=with_probabilities,
            decoder=decoder,
        )
        return [text.token_ids for text in generated]

    return generate


def random_decoders(replace: Callable[[ReportModel], ReportModel] = _unknown) -> Iterator[RandomDecoder]:
    """Yield larger decoders with random weights, each with short and long inputs of one text.

    Args:
        replace: Lets other software generate the texts of a model; by default transformers.
    """
    for name, transformer in _SIZES.items():
        model = _random_model(transformer)
        other = replace(copy.deepcopy(model))
        for prefix in _PREFIXES:
            tokens = torch.randn(1, prefix - 2, model.decoder.width, generator=torch.Generator().manual_seed(0))
            texts = Conditioned(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool), [[_PROMPT_ID]])
            yield RandomDecoder(f"{name}, {prefix} tokens before the report", model, other, texts)


def _size_cases(against: str | None, folder: Path) -> Iterator[Case]:
    exported = against in RUNTIMES
    replace = partial(with_exported_decoder, runtime=str(against), folder=folder) if exported else _unknown
    for name, model, other, texts in random_decoders(replace):
        yield Case(
            name=f"greedy, batch 1, {name}",
            units=1,
            unit="text",
            ours=token_writer(model, texts, RANDOM_DECODING, with_probabilities=not exported),
            theirs=token_writer(other, texts, RANDOM_DECODING, with_probabilities=not exported) if against else None,
        )


def _random_model(transformer: dict[str, Any]) -> ReportModel:
    """Return a model with a tiny encoder and a decoder with random weights.

    The weights are rounded to bfloat16, in which language models are published; the model computes in float32.
    """
    torch.manual_seed(0)
    config = {
        "name": "random",
        "vocabulary_size": _VOCABULARY,
        "encoder": {"name": "test_vit", "image_size": 32, "channels": 1, "arguments": {"img_size": 32}},
        "finding_schema": chest_xray(),
        "projector": {"patch_tokens": 2, "hidden": 16, "dropout": 0.0},
        "decoder": {"transformer": transformer},
    }
    model = ReportModel(ModelConfig.model_validate(config)).eval()
    for weight in model.parameters():  # buffers, such as rotary frequencies, keep their float32 values
        weight.data = weight.data.bfloat16().float()
    return model
