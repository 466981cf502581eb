"""Generate the texts of studies with a checkpoint of report-gen."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import torch

from report_gen.drafting.attention import pass_attention
from report_gen.drafting.batch_conditioning import condition_batch
from report_gen.drafting.comparison import compare_studies
from report_gen.drafting.conditioning_inputs import check_request, uncertain_attributes
from report_gen.drafting.inspection import StudyInspector
from report_gen.drafting.limits import Deadline, StudyLimits
from report_gen.drafting.prepared_study import LoadedStudy, PreprocessedStudy
from report_gen.drafting.preprocessing import StudyPreprocessor
from report_gen.drafting.prior_loading import add_prior
from report_gen.drafting.report_generator import BlankStudy, GeneratedDraft, GeneratorInfo, OnAttention
from report_gen.drafting.request import DraftRequest
from report_gen.drafting.token_budget import FittedPrompt
from report_gen.errors import CheckpointError, StudyError, UsageError, without_traceback
from report_gen.generation import (
    DEFAULT_DECODING,
    CachedDecoder,
    Decoding,
    RecordedDecoder,
    find_cached_decoder,
    generate_texts,
    study_generator,
)
from report_gen.model import INT8, Checkpoint, is_quantized, quantize_linear_layers, resolve_device, resolve_dtype


class CheckpointGenerator(StudyInspector):
    """Generates texts with a model, tokenizer and prompt of report-gen. Implements `ReportGenerator`.

    Args:
        checkpoint: Model, tokenizer and prompt. The model is moved to the device and type, and its encoder is optimized
            for inference. Its weights must not change after the first draft, because packed copies are kept. On a CPU
            the copies take as much memory as the decoder, or half as much if its weights were saved with 16 bits.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`, see `resolve_device`.
        dtype: `auto`, `float32`, `bfloat16` or `int8`, see `resolve_dtype`. `int8` replaces the linear layers of
            the decoder in `checkpoint`.
        cuda_graphs: Whether the steps of the decoder are recorded as CUDA graphs, see `recorded_steps.py`. Speculative
            decoding is then off. This has not been run on a GPU yet: measure it with
            `report_gen_training.benchmarks.gpu_generation` first.

    Raises:
        UsageError: The device or the type is unknown or not available, or CUDA graphs are requested for another device.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        cuda_graphs: bool = False,
    ) -> None:
        self._checkpoint = checkpoint
        resolved = resolve_device(device)
        if cuda_graphs and resolved.type != "cuda":
            raise UsageError(f"CUDA graphs need a CUDA device, not {resolved.type!r}; leave out cuda_graphs")
        self._cuda_graphs = cuda_graphs
        number_type = resolve_dtype(dtype, resolved)
        language_model = checkpoint.model.decoder.language_model
        if dtype == INT8:
            quantize_linear_layers(language_model)
        elif is_quantized(language_model):
            raise UsageError(
                f"the decoder has 8-bit weights, and dtype is {dtype}; choose int8 or reload the checkpoint"
            )
        super().__init__(
            checkpoint.model.to(resolved, number_type).eval(),
            StudyPreprocessor(checkpoint, device=resolved, dtype=number_type),
        )
        self._model.encoder.optimize_for_inference()
        config = checkpoint.model.config
        reported = zip(config.finding_schema.findings, config.findings.reported, strict=True)
        self.info = GeneratorInfo(
            name=config.name,
            weights_sha256=checkpoint.weights_sha256,
            device=resolved.type,
            dtype=INT8 if dtype == INT8 else str(number_type).removeprefix("torch."),
            schema=config.finding_schema,
            reported=frozenset(name for name, is_reported in reported if is_reported),
            attributes=config.attributes,
            has_locations=config.locations is not None,
            has_attention=bool(config.finding_schema.stated),
            has_features=True,
            preprocessing=config.preprocessing,
            notice=config.notice,
            decoding=DEFAULT_DECODING,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the cached decoder.

        Packed weights cannot be pickled, and a copy whose weights change needs its own.
        """
        return {name: value for name, value in self.__dict__.items() if name != "_decoder"}

    @cached_property
    def _decoder(self) -> CachedDecoder | None:
        """The fast decoder of the model, which keeps packed weights from batch to batch."""
        decoder = find_cached_decoder(self._model.decoder.language_model)
        return RecordedDecoder(decoder) if self._cuda_graphs and decoder is not None else decoder

    def check_request(self, request: DraftRequest) -> DraftRequest:
        """Return a request with the settings of the reader by the names that the model has."""
        return check_request(request, self._model.config)

    def prepare(
        self, request: DraftRequest, *, decoding: Decoding, limits: StudyLimits, blank: bool, force: bool
    ) -> PreprocessedStudy | BlankStudy | StudyError:
        """Load a study and its prior study, and prepare both for the model; see `ReportGenerator.prepare`."""
        load = partial(self._preprocessor.load, blank=blank, force=force, limits=limits)
        loaded = load(request)
        if isinstance(loaded, StudyError):
            return loaded
        if loaded.is_blank:
            return BlankStudy(request=loaded.request, notices=loaded.notices)
        try:
            loaded, prior = add_prior(loaded, load, self._model.config)
        except StudyError as error:
            return without_traceback(error)
        return self._preprocessor.prepare(loaded, max_report_tokens=decoding.max_tokens, prior=prior)

    @torch.inference_mode()
    def generate(
        self, batch: Sequence[PreprocessedStudy], *, decoding: Decoding, deadline: Deadline, on_attention: OnAttention
    ) -> list[GeneratedDraft]:
        """Generate the texts of B studies from their images, findings and prompts; see `ReportGenerator.generate`."""
        visual = self._model.encode_images(*self._preprocessor.collate([item.loaded for item in batch]))
        conditioning = condition_batch(self._model, [item.request for item in batch], visual)
        comparisons = compare_studies(self._model, batch, visual, conditioning.findings, self._preprocessor.collate)
        pass_attention(self._model, visual, [item.loaded for item in batch], on_attention)
        texts = generate_texts(
            self._checkpoint,
            visual_tokens=conditioning.visual_tokens,
            visual_mask=conditioning.visual_mask,
            prompt_ids=[item.prompt.token_ids for item in batch],
            max_report_tokens=[item.prompt.max_report_tokens for item in batch],
            states=[[finding.state for finding in row] for row in conditioning.findings],
            attributes=[{attribute.name: attribute.value for attribute in row} for row in conditioning.attributes],
            stated=[
                {one.name: one.value for one in row if one.from_header or one.overridden}
                for row in conditioning.attributes
            ],
            unnamed=[uncertain_attributes(self._model.config.attributes, row) for row in conditioning.attributes],
            locations=conditioning.locations,
            decoding=decoding,
            generators=[_study_generator(item.loaded, decoding) for item in batch],
            before_token=deadline.check,
            decoder=self._decoder,
        )
        if not all(text.finite for text in texts):
            name, dtype = self._model.config.name, self.info.dtype
            raise CheckpointError(
                f"the decoder of model {name!r} gives values that are not finite; use another checkpoint"
                + ("" if dtype == "float32" else f", or dtype float32 instead of {dtype}")
            )
        rows = zip(batch, conditioning.findings, conditioning.attributes, texts, comparisons, strict=True)
        return [
            GeneratedDraft(
                text=text,
                findings=findings,
                attributes=attributes,
                notices=(*item.loaded.notices, *item.prompt.notices),
                prompt_values=item.prompt.values,
                max_report_tokens=item.prompt.max_report_tokens,
                options=_budget(item.prompt),
                comparison=comparison,
                comparison_text=item.comparison,
            )
            for item, findings, attributes, text, comparison in rows
        ]


def _study_generator(loaded: LoadedStudy, decoding: Decoding) -> torch.Generator:
    """Return the random generator of a study, determined by the pixels of its images and the seed of the user.

    The digests are sorted, because the images of a study are ordered by their file names, which must not matter.
    Indication, overrides and prior study are not part of the seed. Drafts with and without one of them use the same
    random numbers, so they differ only by its effect on the decoder.
    """
    return study_generator(decoding.seed, *sorted(loaded.pixel_digests))


def _budget(prompt: FittedPrompt) -> dict[str, str | int | float | bool]:
    """Return how the positions of the decoder were divided, for the provenance."""
    return {
        "max_tokens": prompt.max_report_tokens,
        "prompt_tokens": len(prompt.token_ids),
        "prompt_shortened": bool(prompt.notices),
    }
