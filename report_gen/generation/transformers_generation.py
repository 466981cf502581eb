"""Generation by transformers, for every decoder that `cached_decoder.py` does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import LogitsProcessorList, StoppingCriteriaList

from report_gen.generation.sampling import Sampler
from report_gen.generation.token_hooks import CallBeforeToken, SampleTokens
from report_gen.generation.tokens import NEVER_GENERATED, GeneratedTokens, TokenGenerator, TokenRequest, finish
from report_gen.model import ReportModel
from report_gen.tokenizer import BOS_ID, EOS_ID


class TransformersTokenGenerator(TokenGenerator):
    """Generates with `generate` of transformers.

    Texts of different maximum length are generated in separate calls, so that no text shortens another one. Those of a
    decoder with a sliding window are also separated by their masks, because masked tokens take places of the window.

    Args:
        model: The model.
        visual_tokens: [B,K,D_txt].
        visual_mask: [B,K] bool, False for missing tokens.
        input_ids: Prompts and begin token [B,P], padded on the left.
        attention_mask: [B,P], 0 for padding.
    """

    def __init__(
        self,
        model: ReportModel,
        *,
        visual_tokens: torch.Tensor,
        visual_mask: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
    ) -> None:
        self._model = model
        self._inputs = {
            "visual_tokens": visual_tokens,
            "visual_mask": visual_mask,
            "input_ids": input_ids,
            "attention_mask": attention_mask,
        }

    @torch.inference_mode()
    def generate(self, request: TokenRequest) -> list[GeneratedTokens]:
        generated: dict[int, GeneratedTokens] = {}
        masks = self._masks(request.studies)
        kinds = list(zip(request.limits, masks, strict=True))
        for limit, mask in dict.fromkeys(kinds):
            texts = [text for text, kind in enumerate(kinds) if kind == (limit, mask)]
            inputs = {name: tensor[[request.studies[text] for text in texts]] for name, tensor in self._inputs.items()}
            if mask:
                inputs = _without_masked(inputs)
            arguments = _arguments(request, texts) | {"max_new_tokens": limit}
            token_ids, probabilities = self._generate(inputs, arguments, request.with_probabilities)
            generated |= zip(texts, map(finish, token_ids.tolist(), probabilities), strict=True)
        return [generated[text] for text in range(len(request.limits))]

    def _masks(self, studies: Sequence[int]) -> list[tuple[bool, ...]]:
        """Return the masks of each text, of its visual tokens and its prompt; empty if the decoder has no window."""
        config = self._model.decoder.language_model.config
        if getattr(config, "sliding_window", None) is None:
            return [()] * len(studies)
        masks = torch.cat([self._inputs["visual_mask"].bool(), self._inputs["attention_mask"].bool()], dim=1).tolist()
        return [tuple(masks[study]) for study in studies]

    def _generate(
        self, inputs: Mapping[str, torch.Tensor], arguments: Mapping[str, Any], with_probabilities: bool
    ) -> tuple[torch.Tensor, list[list[float]]]:
        """Return token ids [N,R] of texts with the same maximum length, and the probability of each."""
        decoder = self._model.decoder
        conditioned = decoder.conditioned(**inputs)
        token_ids = decoder.language_model.generate(**conditioned, **arguments)
        # With `inputs_embeds` transformers returns the new tokens only, with `input_ids` the prompt as well.
        if "input_ids" in conditioned:
            token_ids = token_ids[:, inputs["input_ids"].shape[1] :]
        if not with_probabilities:
            return token_ids, [[] for _ in token_ids]
        return token_ids, token_probabilities(self._model, **inputs, token_ids=token_ids).tolist()


def _without_masked(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return inputs of equal masks without the visual tokens and the padding that are masked."""
    visual, text = inputs["visual_mask"][0].bool(), inputs["attention_mask"][0].bool()
    kept = {"visual_tokens": visual, "visual_mask": visual, "input_ids": text, "attention_mask": text}
    return {name: inputs[name][:, columns] for name, columns in kept.items()}


@torch.inference_mode()
def token_probabilities(
    model: ReportModel,
    *,
    visual_tokens: torch.Tensor,
    visual_mask: torch.Tensor,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    token_ids: torch.Tensor,
) -> torch.Tensor:
    """Return the probability [B,R] that the model gives to each generated token, by one forward pass over the texts.

    Args:
        model: The model.
        visual_tokens: [B,K,D_txt].
        visual_mask: [B,K] bool, False for missing tokens.
        input_ids: Prompts and begin token [B,P], padded on the left.
        attention_mask: [B,P], 0 for padding.
        token_ids: Generated tokens [B,R].
    """
    text = torch.cat([input_ids, token_ids], dim=1)  # [B,P+R]
    mask = torch.cat([attention_mask, attention_mask.new_ones(token_ids.shape)], dim=1)
    logits = model.decoder(visual_tokens, visual_mask, text, mask)
    # The logits at position t predict the token at t + 1: the last prompt position predicts the first report token.
    predicting = logits[:, input_ids.shape[1] - 1 : -1].float()  # [B,R,vocabulary]
    probabilities: torch.Tensor = predicting.softmax(-1).gather(-1, token_ids.unsqueeze(-1)).squeeze(-1)
    return probabilities


def _arguments(request: TokenRequest, texts: list[int]) -> dict[str, Any]:
    """Return the keyword arguments of transformers' `generate`, which never samples itself, see `Sampler`."""
    decoding = request.decoding
    arguments: dict[str, Any] = {
        "do_sample": False,
        "num_beams": decoding.beams if decoding.method == "beam" else 1,
        "bos_token_id": BOS_ID,
        "eos_token_id": EOS_ID,
        # Finished texts are filled with the end token: transformers drops an attention mask of ones, and then warns of
        # every padding token among its inputs. Texts are cut at their first end token anyway.
        "pad_token_id": EOS_ID,
        "suppress_tokens": list(NEVER_GENERATED),
    }
    if request.before_token is not None:
        arguments["stopping_criteria"] = StoppingCriteriaList([CallBeforeToken(request.before_token)])
    if decoding.method == "beam":
        return arguments | {"length_penalty": 1.0}
    if decoding.method == "sample":
        sampler = Sampler(decoding, [request.generators[text] for text in texts])
        return arguments | {"logits_processor": LogitsProcessorList([SampleTokens(sampler)])}
    return arguments
