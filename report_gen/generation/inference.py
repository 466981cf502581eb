"""Generate report texts. Drafting, validation during training and self-critical training all call this module.

`generate_texts` returns finished texts, `generate_tokens` the token ids of one candidate per row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from report_gen.errors import UsageError
from report_gen.generation.cached_decoder import CachedDecoder
from report_gen.generation.cached_generation import CachedTokenGenerator
from report_gen.generation.decoding import Decoding
from report_gen.generation.gpt2_decoder import Gpt2Decoder
from report_gen.generation.proposals import Proposer, default_proposer
from report_gen.generation.reranking import claimed_attributes, fewest_claims, needs_candidates, select_candidate
from report_gen.generation.text_composing import (
    GeneratedText,
    compose_text,
    without_contradictions,
    without_unsupported,
)
from report_gen.generation.tokens import GeneratedTokens, TokenGenerator, TokenRequest
from report_gen.model import Checkpoint, ReportModel
from report_gen.records import AttributeName, FindingLocation, FindingState
from report_gen.tokenizer import BOS_ID, PAD_ID


def generate_texts(
    checkpoint: Checkpoint,
    *,
    visual_tokens: torch.Tensor,
    visual_mask: torch.Tensor,
    prompt_ids: Sequence[Sequence[int]],
    states: Sequence[Sequence[FindingState]],
    attributes: Sequence[Mapping[AttributeName, str]] | None = None,
    stated: Sequence[Mapping[AttributeName, str]] | None = None,
    unnamed: Sequence[Collection[AttributeName]] | None = None,
    locations: Sequence[Sequence[FindingLocation]] | None = None,
    decoding: Decoding,
    generators: Sequence[torch.Generator] = (),
    max_report_tokens: Sequence[int] = (),
    before_token: Callable[[], None] | None = None,
    decoder: CachedDecoder | None = None,
) -> list[GeneratedText]:
    """Generate one text per study and keep the most consistent candidate, see `reranking.py`.

    The first candidates of all studies are generated in one call. If `decoding` asks for more candidates, those of all
    studies whose first candidate is inconsistent are sampled together in a second call.

    Args:
        visual_tokens: [B,K,D_txt], with visual_mask [B,K].
        prompt_ids: Token ids of B prompts, without the begin token.
        states: The finding states [B][F] that condition the decoder.
        attributes: The attributes that condition the decoder, B mappings from name to value, "" for unknown.
        stated: Attributes that the header or the reader states, B mappings; None for none. `remove_unsupported`
            removes sentences that contradict them.
        unnamed: Attributes whose prediction is uncertain, B collections of names; None for none. Candidates that do
            not name them, and contradict none of the other attributes, have precedence.
        locations: The locations [B][F] that condition the decoder; None for a model without locations.
        decoding: Method, length and number of candidates.
        generators: B random generators, see `study_generator`; needed where `decoding` samples.
        max_report_tokens: B maximum numbers of report tokens, by default `Decoding.max_tokens` for every study.
        before_token: Called once per generation step, which gives one token per text, or several with speculative
            decoding. An error that it raises ends the generation.
        decoder: Result of `find_cached_decoder` for the model. A caller that keeps it saves packing the weights again,
            and must not change them. By default a new one is made.

    Raises:
        UsageError: A prompt leaves no positions for a report, a maximum number is below 1, or generators are missing.
    """
    if not prompt_ids:
        return []
    if decoding.samples:
        _check_generators(generators, len(prompt_ids))
    studies, schema = range(len(states)), checkpoint.model.config.finding_schema
    attributes, locations = attributes or [{} for _ in studies], locations or [() for _ in studies]
    stated, unnamed = stated or [{} for _ in studies], unnamed or [() for _ in studies]
    certain = [{**_without(attributes[n], unnamed[n]), **stated[n]} for n in studies]
    limits = _limits(
        checkpoint.model, visual_mask, prompt_ids, max_report_tokens or [decoding.max_tokens for _ in studies]
    )
    proposer = default_proposer(checkpoint.model.decoder.language_model, prompt_ids, checkpoint.continuations)
    generator = token_generator(checkpoint.model, visual_tokens, visual_mask, prompt_ids, proposer, decoder)

    def generate(rows: Sequence[int], decoding: Decoding) -> list[GeneratedText]:
        request = TokenRequest(
            studies=rows,
            limits=[limits[row] for row in rows],
            decoding=decoding,
            generators=[generators[row] for row in rows] if decoding.method == "sample" else (),
            before_token=before_token,
        )
        return [compose_text(one, checkpoint.tokenizer) for one in generator.generate(request)]

    if decoding.method == "sample":
        candidates = _grouped(generate(_repeated(studies, decoding.candidates), decoding), decoding.candidates)
    else:
        candidates = [[text] for text in generate(studies, decoding)]
        if further := decoding.candidates - 1:
            firsts = [texts[0] for texts in candidates]
            rows = [
                n
                for n in studies
                if firsts[n].doubtful_words
                or claimed_attributes(firsts[n].text, certain[n], unnamed[n])
                or needs_candidates(firsts[n], states[n], attributes[n], locations[n], schema=schema)
            ]
            sampled = generate(_repeated(rows, further), replace(decoding, method="sample")) if rows else []
            for row, texts in zip(rows, _grouped(sampled, further), strict=True):
                candidates[row] += texts
    selected = []
    for n, texts in enumerate(candidates):
        allowed = fewest_claims([one.text for one in texts], certain[n], unnamed[n])
        kept = [texts[index] for index in allowed]
        selected.append(select_candidate(kept, states[n], attributes[n], locations[n], schema=schema))
    if not decoding.remove_unsupported:
        return selected
    supported = [without_unsupported(selected[n], states[n], locations[n], schema) for n in studies]
    return [without_contradictions(supported[n], stated[n]) for n in studies]


def generate_tokens(
    model: ReportModel,
    *,
    visual_tokens: torch.Tensor,
    visual_mask: torch.Tensor,
    prompt_ids: Sequence[Sequence[int]],
    decoding: Decoding,
    generators: Sequence[torch.Generator | None] = (),
    max_report_tokens: Sequence[int] = (),
    proposer: Proposer | None = None,
    with_probabilities: bool = True,
    before_token: Callable[[], None] | None = None,
    decoder: CachedDecoder | None = None,
) -> list[GeneratedTokens]:
    """Generate the token ids of one text per row. `Decoding.candidates` is not considered.

    The maximum length of a text is that of its row: the smaller of `max_report_tokens` and the positions that its own
    visual tokens and prompt leave.

    Args:
        model: The model.
        visual_tokens: [B,K,D_txt].
        visual_mask: [B,K] bool, False for missing tokens.
        prompt_ids: Token ids of B prompts, without the begin token.
        decoding: Method and length.
        generators: For the method `sample`, one per row; None decodes that row greedily.
        max_report_tokens: B maximum numbers of report tokens, by default `Decoding.max_tokens` for every row.
        proposer: Proposes tokens; by default that of `default_proposer`.
        with_probabilities: Whether to return the probability of each token.
        before_token: Called once per generation step, which gives one token per text, or several with speculative
            decoding. An error that it raises ends the generation.
        decoder: As in `generate_texts`.

    Raises:
        UsageError: A prompt leaves no positions for a report, a maximum number is below 1, or generators are missing.
    """
    if not prompt_ids:
        return []
    if decoding.method == "sample":
        _check_generators(generators, len(prompt_ids))
    limits = _limits(model, visual_mask, prompt_ids, max_report_tokens or [decoding.max_tokens] * len(prompt_ids))
    request = TokenRequest(
        studies=range(len(prompt_ids)),
        limits=limits,
        decoding=decoding,
        generators=generators,
        with_probabilities=with_probabilities,
        before_token=before_token,
    )
    proposer = proposer or default_proposer(model.decoder.language_model, prompt_ids)
    return token_generator(model, visual_tokens, visual_mask, prompt_ids, proposer, decoder).generate(request)


@torch.inference_mode()
def token_generator(
    model: ReportModel,
    visual_tokens: torch.Tensor,
    visual_mask: torch.Tensor,
    prompt_ids: Sequence[Sequence[int]],
    proposer: Proposer | None = None,
    decoder: CachedDecoder | None = None,
) -> TokenGenerator:
    """Return what generates texts for B studies: the fast generator for a decoder that it knows, or transformers.

    Args:
        model: The model.
        visual_tokens: [B,K,D_txt].
        visual_mask: [B,K] bool, False for missing tokens.
        prompt_ids: Token ids of B prompts, without the begin token.
        proposer: Proposes tokens for a decoder of this package; None for no proposals.
        decoder: As in `generate_texts`.
    """
    input_ids, attention_mask = _begin_reports(prompt_ids, visual_tokens.device)
    decoder = decoder or find_cached_decoder(model.decoder.language_model)
    if decoder is None:
        from report_gen.generation.transformers_generation import TransformersTokenGenerator

        return TransformersTokenGenerator(
            model,
            visual_tokens=visual_tokens,
            visual_mask=visual_mask,
            input_ids=input_ids,
            attention_mask=attention_mask,
        )
    inputs = model.decoder.conditioned(visual_tokens, visual_mask, input_ids, attention_mask)
    return CachedTokenGenerator(decoder, decoder.begin(inputs), proposer if decoder.supports_speculation else None)


def find_cached_decoder(language_model: nn.Module) -> CachedDecoder | None:
    """Return the fast decoder for a language model; None if there is none for its architecture."""
    if Gpt2Decoder.supports(language_model):
        return Gpt2Decoder(language_model)
    from report_gen.generation.llama_decoder import LlamaDecoder  # loads transformers

    return LlamaDecoder(language_model) if LlamaDecoder.supports(language_model) else None


def _check_generators(generators: Sequence[torch.Generator | None], texts: int) -> None:
    if len(generators) != texts:
        raise UsageError(f"{texts} texts are sampled with {len(generators)} generators; give one per text")


def _limits(
    model: ReportModel,
    visual_mask: torch.Tensor,
    prompt_ids: Sequence[Sequence[int]],
    max_report_tokens: Sequence[int],
) -> list[int]:
    """Return the maximum number of report tokens of each row."""
    visual = [0] * len(prompt_ids) if model.conditioning.adds_cross_attention else visual_mask.sum(1).int().tolist()
    free = [model.decoder.positions - K - len(ids) - 1 for K, ids in zip(visual, prompt_ids, strict=True)]
    if min(free) < 1:
        raise UsageError("the prompt leaves no positions for a report; shorten the indication")
    if min(max_report_tokens) < 1:
        raise UsageError("a report has at least 1 token; increase max_report_tokens")
    return [min(*pair) for pair in zip(free, max_report_tokens, strict=True)]


def _begin_reports(prompt_ids: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return prompts with the begin token [B,P] and their attention mask [B,P].

    The prompts are padded on the left, so that all reports start in the same column.
    """
    rows = [torch.tensor([*row, BOS_ID]) for row in prompt_ids]
    input_ids = pad_sequence(rows, batch_first=True, padding_value=PAD_ID, padding_side="left")
    ones = [torch.ones_like(row) for row in rows]
    attention_mask = pad_sequence(ones, batch_first=True, padding_side="left")
    return input_ids.to(device), attention_mask.to(device)


def _without(attributes: Mapping[AttributeName, str], names: Collection[AttributeName]) -> dict[AttributeName, str]:
    return {name: value for name, value in attributes.items() if name not in names}


def _repeated(rows: Sequence[int], times: int) -> list[int]:
    return [row for row in rows for _ in range(times)]


def _grouped(texts: Sequence[GeneratedText], size: int) -> list[list[GeneratedText]]:
    return [list(texts[start : start + size]) for start in range(0, len(texts), size)]
