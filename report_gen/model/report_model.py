"""Encoder, projector and decoder as one model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn
from transformers import PreTrainedModel

from report_gen.config import STATES, ModelConfig
from report_gen.model.decoder import ReportDecoder
from report_gen.model.encoder import ImageEncoder
from report_gen.model.language_model import Pretrained, build_from_configuration, build_gpt2
from report_gen.model.numbers import Encode, NumberWriter
from report_gen.model.projector import Projector, VisualFeatures
from report_gen.records.findings import FindingState


@dataclass(frozen=True)
class ReportModelOutput:
    """What a loss may be made of, and no more: DistributedDataParallel waits for a gradient of all that is given."""

    logits: torch.Tensor | None
    """[B,L,vocabulary]; those at place t predict the token at t + 1. None where the batch has no texts."""
    finding_logits: torch.Tensor | None
    """[B,F]; None where the batch has no images."""
    attribute_logits: tuple[torch.Tensor, ...] = ()
    """[B,values] of each of the A attributes; empty where the batch has no images."""


class ReportModel(nn.Module):
    """Writes a report conditioned on the images of a study and on the states of its findings.

    Axes: B studies, V views, C channels, H W pixels, N patches a view, F findings, K visual tokens, L text tokens.

    Args:
        pretrained: the language model to begin with, where it is not one from scratch.
        encode: the tokenizer's, with which conditioning by `numbers` spells them; the others do without.
    """

    def __init__(
        self, config: ModelConfig, *, pretrained: Pretrained | None = None, encode: Encode | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = ImageEncoder(
            name=config.encoder.name,
            arguments=config.encoder.arguments,
            image_size=config.encoder.image_size,
            channels=config.encoder.channels,
        )
        self.decoder = ReportDecoder(
            _build_language_model(config) if pretrained is None else pretrained.model,
            cross_attention=config.conditioning == "cross_attention",
            pretrained=frozenset() if pretrained is None else pretrained.kept,
        )
        self.projector = Projector(
            findings=len(config.finding_schema.findings),
            image_width=self.encoder.width,
            text_width=self.decoder.width,
            grid=self.encoder.grid,
            patch_tokens=0 if config.conditioning == "numbers" else config.projector.patch_tokens,
            hidden=config.projector.hidden,
            dropout=config.projector.dropout,
            attributes=[len(attribute.values) for attribute in config.attributes],
        )
        self.number_writer: NumberWriter | None = None
        if config.conditioning == "numbers":
            self.number_writer = NumberWriter(
                channels=self.encoder.width,
                numbers=config.projector.numbers,
                decimals=config.projector.decimals,
                encode=encode,
            )

    def forward(
        self,
        *,
        pixel_values: torch.Tensor,
        view_positions: torch.Tensor,
        view_mask: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        finding_states: torch.Tensor,
        patch_features: torch.Tensor | None = None,
        attribute_values: torch.Tensor | None = None,
    ) -> ReportModelOutput:
        """Look at the images, if there are any, and read the texts, if there are any.

        Args:
            pixel_values: [B,V,C,H,W], with view_positions [B,V] and view_mask [B,V]; V is 0 without images.
            input_ids: prompt, begin, report and end [T*B,L], with attention_mask [T*B,L]; L is 0 without texts. With
                T > 1 texts a study the first B rows are one text of every study, and so on.
            finding_states: [B,F], what the decoder is told.
            patch_features: [B,V,N,D_img], what the encoder made of the images; with V > 0 it is not asked again.
            attribute_values: [B,A], what the decoder is told; see `visual_tokens`.
        """
        visual = (
            self.encode_images(pixel_values, view_positions, view_mask, patch_features) if view_mask.shape[1] else None
        )
        finding_logits, attribute_logits = (
            (None, ()) if visual is None else (visual.finding_logits, visual.attribute_logits)
        )
        if not input_ids.shape[1]:
            return ReportModelOutput(None, finding_logits, attribute_logits)
        visual_tokens, visual_mask = self.visual_tokens(finding_states, visual, attribute_values)
        texts = len(input_ids) // len(finding_states)
        logits = self.decoder(
            visual_tokens.repeat(texts, 1, 1), visual_mask.repeat(texts, 1), input_ids, attention_mask
        )
        return ReportModelOutput(logits, finding_logits, attribute_logits)

    def encode_images(
        self,
        pixel_values: torch.Tensor,
        view_positions: torch.Tensor,
        view_mask: torch.Tensor,
        patch_features: torch.Tensor | None = None,
    ) -> VisualFeatures:
        """What is seen in pixel_values [B,V,C,H,W], or was seen in patch_features [B,V,N,D_img] where V > 0 there.

        Missing views are masked in view_mask [B,V].
        """
        if patch_features is None or not patch_features.shape[1]:
            patch_features = self.encoder(pixel_values.flatten(0, 1)).unflatten(0, view_mask.shape)  # [B,V,N,D_img]
        else:  # stored short
            patch_features = patch_features.to(self.projector.norm.weight.dtype)
        seen: VisualFeatures = self.projector(patch_features, view_positions, view_mask)
        if self.number_writer is None:
            return seen
        number_ids, mask = self.number_writer(patch_features, view_mask)
        return replace(seen, patch_tokens=self.decoder.embed(number_ids), patch_mask=mask)

    def visual_tokens(
        self, finding_states: torch.Tensor, visual: VisualFeatures | None, attribute_values: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The K visual tokens [B,K,D_txt] and their mask [B,K]: F of the findings, A of the attributes, the patches.

        Conditioned by `numbers` the decoder is told these alone, as the tokens of its own words, and no state.

        Args:
            attribute_values: [B,A], indices into `AttributeConfig.told`; all unknown where not given.
        """
        if self.number_writer is not None:
            return self._numbers(finding_states, visual)
        if attribute_values is None:
            attribute_values = finding_states.new_zeros(len(finding_states), len(self.config.attributes))
        told = torch.cat(
            [self.projector.finding_tokens(finding_states, visual), self.projector.attribute_tokens(attribute_values)],
            dim=1,
        )
        mask = torch.ones(told.shape[:2], dtype=torch.bool, device=told.device)
        if visual is None:
            return told, mask
        return torch.cat([told, visual.patch_tokens], dim=1), torch.cat([mask, visual.patch_mask], dim=1)

    @staticmethod
    def decide_attributes(visual: VisualFeatures) -> torch.Tensor:
        """The likeliest values [B,A], indices into `AttributeConfig.told`."""
        likeliest = [logits.argmax(-1) + 1 for logits in visual.attribute_logits]
        nothing = torch.zeros(len(visual.finding_logits), 0, dtype=torch.long, device=visual.finding_logits.device)
        return torch.stack(likeliest, dim=1) if likeliest else nothing

    def probabilities(self, finding_logits: torch.Tensor) -> torch.Tensor:
        """What the head's logits [B,F] mean, 0..1: the one place where they are calibrated."""
        return (finding_logits / self.config.findings.temperature).sigmoid()

    def decide(self, probabilities: torch.Tensor) -> torch.Tensor:
        """States [B,F] (indices into `STATES`) by the thresholds of the configuration."""
        thresholds = self.config.findings
        states = torch.full_like(probabilities, STATES.index(FindingState.UNKNOWN), dtype=torch.long)
        for index, (present, uncertain) in enumerate(zip(thresholds.present, thresholds.uncertain, strict=True)):
            if present is None:
                continue
            column = probabilities[:, index]
            states[:, index] = STATES.index(FindingState.ABSENT)
            if uncertain is not None:
                states[column >= uncertain, index] = STATES.index(FindingState.UNCERTAIN)
            states[column >= present, index] = STATES.index(FindingState.PRESENT)
        return states

    def _numbers(
        self, finding_states: torch.Tensor, visual: VisualFeatures | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if visual is not None:
            return visual.patch_tokens, visual.patch_mask
        nothing = finding_states[:, :0]  # [B,0]
        return self.decoder.embed(nothing), nothing.bool()


def _build_language_model(config: ModelConfig) -> PreTrainedModel:
    cross_attention = config.conditioning == "cross_attention"
    decoder = config.decoder
    if decoder.transformer is not None:
        return build_from_configuration(
            decoder.transformer, vocabulary_size=config.vocabulary_size, cross_attention=cross_attention
        )
    return build_gpt2(
        vocabulary_size=config.vocabulary_size,
        width=decoder.width,
        layers=decoder.layers,
        heads=decoder.heads,
        positions=decoder.positions,
        dropout=decoder.dropout,
        cross_attention=cross_attention,
    )
