"""The report model: image encoder, sequence encoder, projector and decoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from report_gen.config import ModelConfig
from report_gen.model.conditioning import Conditioning, conditioning_type
from report_gen.model.decoder import ReportDecoder
from report_gen.model.encoder import ImageEncoder
from report_gen.model.feature_numbers import Encode
from report_gen.model.finding_decision import decide_states
from report_gen.model.gpt2 import Gpt2Config, Gpt2LanguageModel
from report_gen.model.projector import Projector, VisualFeatures
from report_gen.model.recognizer import ImageRecognizer
from report_gen.model.sequence import build_sequence_encoder
from report_gen.records import ViewOffset

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from report_gen.model.language_model import Pretrained


@dataclass(frozen=True)
class ReportModelOutput:
    """Outputs that a loss can be computed from, and nothing else.

    DistributedDataParallel waits for a gradient of every tensor that `forward` returns.
    """

    logits: torch.Tensor | None
    """[B,L,vocabulary]; the logits at position t predict the token at t + 1. None for a batch without texts."""
    finding_logits: torch.Tensor | None
    """[B,F]; None for a batch without images."""
    attribute_logits: tuple[torch.Tensor, ...] = ()
    """[B,values] of each of the A attributes; empty for a batch without images."""
    location_logits: torch.Tensor | None = None
    """[B,F,P]; None for a batch without images and for a model without locations."""
    finding_attention: torch.Tensor | None = None
    """[B,F,V*N]; None without `location_logits`. The attention loss trains it with boxes."""


class ReportModel(nn.Module):
    """Generates a report conditioned on the images of a study, the states of its findings and its attributes.

    Axes: B studies, V views, C channels, H W pixels, N patches per view, F findings, A attributes, K visual tokens,
    L text tokens, D_img and D_txt widths of patch features and token embeddings.

    Args:
        config: Architecture, findings and attributes.
        pretrained: Language model to start from; by default one is built from `config` with random weights.
        encode: Tokenizer, needed by the conditioning `numbers` alone.
        for_inference: Build a decoder without a transformers configuration as `Gpt2LanguageModel`, which cannot be
            trained with dropout, but needs no transformers.

    Raises:
        CheckpointError: Encoder or decoder cannot be built, or do not fit the conditioning.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        pretrained: Pretrained | None = None,
        encode: Encode | None = None,
        for_inference: bool = False,
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = ImageEncoder(
            name=config.encoder.name,
            arguments=config.encoder.arguments,
            image_size=config.encoder.image_size,
            channels=config.encoder.channels,
        )
        conditioning = conditioning_type(config.conditioning).from_config(
            config, image_width=self.encoder.width, encode=encode
        )
        self.decoder = ReportDecoder(
            pretrained.model if pretrained is not None else _build_language_model(config, conditioning, for_inference),
            conditioning=conditioning,
            pretrained=frozenset() if pretrained is None else pretrained.kept,
            token_rows=None if pretrained is None else pretrained.rows,
        )
        self.projector = Projector(
            findings=len(config.finding_schema.findings),
            image_width=self.encoder.width,
            text_width=self.decoder.width,
            grid=self.encoder.grid,
            depth=self.encoder.depth,
            patch_tokens=conditioning.patch_tokens,
            hidden=config.projector.hidden,
            dropout=config.projector.dropout,
            attributes=[len(attribute.values) for attribute in config.attributes],
            locations=config.locations is not None,
        )
        self.sequence = (
            None if config.sequence is None else build_sequence_encoder(config.sequence, image_width=self.encoder.width)
        )
        recognizer = config.scope.recognizer
        self.recognizer = None if recognizer is None else ImageRecognizer(recognizer, image_width=self.encoder.width)

    @property
    def conditioning(self) -> Conditioning:
        """How images, findings and attributes reach the decoder."""
        return self.decoder.conditioning

    def visual_positions(self, views: int) -> int:
        """Return the largest number of decoder positions that a study with so many views takes before its prompt."""
        if self.sequence is not None and self.sequence.pools_views:
            views = min(views, 1)
        return self.conditioning.positions(
            findings=len(self.projector.finding_bias),
            attributes=len(self.config.attributes),
            patches=views * self.encoder.patches,
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
        finding_locations: torch.Tensor | None = None,
        view_offsets: torch.Tensor | None = None,
    ) -> ReportModelOutput:
        """Compute the logits of the texts and of all heads, as far as the batch has their inputs.

        Args:
            pixel_values: [B,V,C,H,W], with view_positions [B,V] and view_mask [B,V]; V is 0 without images.
            input_ids: Prompt, begin token, report and end token [T*B,L], with attention_mask [T*B,L]; L is 0 without
                texts. With T > 1 texts per study the first B rows are one text of every study, and so on.
            finding_states: [B,F], indices into `STATES`, that condition the decoder.
            patch_features: [B,V,N,D_img], stored output of the encoder; with V > 0 the encoder is not run.
            attribute_values: [B,A] that condition the decoder, see `visual_tokens`.
            finding_locations: [B,F,P] that condition the decoder, see `visual_tokens`.
            view_offsets: [B,V,3] of the views from each other, see `encode_images`.
        """
        visual = None
        if view_mask.shape[1]:
            visual = self.encode_images(pixel_values, view_positions, view_mask, patch_features, view_offsets)
        heads = ReportModelOutput(None, None)
        if visual is not None:
            has_locations = visual.location_logits is not None
            heads = ReportModelOutput(
                logits=None,
                finding_logits=visual.finding_logits,
                attribute_logits=visual.attribute_logits,
                location_logits=visual.location_logits,
                finding_attention=visual.finding_attention if has_locations else None,
            )
        if not input_ids.shape[1]:
            return heads
        visual_tokens, visual_mask = self.visual_tokens(finding_states, visual, attribute_values, finding_locations)
        texts = len(input_ids) // len(finding_states)
        logits = self.decoder(
            visual_tokens.repeat(texts, 1, 1), visual_mask.repeat(texts, 1), input_ids, attention_mask
        )
        return replace(heads, logits=logits)

    def encode_images(
        self,
        pixel_values: torch.Tensor,
        view_positions: torch.Tensor,
        view_mask: torch.Tensor,
        patch_features: torch.Tensor | None = None,
        view_offsets: torch.Tensor | None = None,
    ) -> VisualFeatures:
        """Compute the visual features of B studies.

        Args:
            pixel_values: [B,V,C,H,W], with view_positions [B,V] and view_mask [B,V] bool, False for missing views.
            view_positions: [B,V], indices into `VIEWS`.
            patch_features: [B,V,N,D_img], stored output of the encoder; with V > 0 the encoder is not run.
            view_offsets: [B,V,3] float32, `ViewOffset` of each view, NaN where it is not known. A model without
                sequence encoder ignores them; None stands for views of one day of which nothing else is known.
        """
        if patch_features is None or not patch_features.shape[1]:
            patch_features = self.encoder(pixel_values.flatten(0, 1)).unflatten(0, view_mask.shape)  # [B,V,N,D_img]
        else:  # stored with fewer bits
            patch_features = patch_features.to(self.projector.norm.weight.dtype)
        if self.sequence is not None:
            if view_offsets is None:
                view_offsets = torch.tensor(ViewOffset(), device=view_mask.device).expand(*view_mask.shape, -1)
            patch_features, view_mask = self.sequence(patch_features, view_mask, view_offsets)
            view_positions = view_positions[:, : view_mask.shape[1]]  # of the first view, if the views become one
        visual: VisualFeatures = self.projector(patch_features, view_positions, view_mask)
        return self.conditioning.encode_patches(visual, patch_features, view_mask, self.decoder.embed)

    def visual_tokens(
        self,
        finding_states: torch.Tensor,
        visual: VisualFeatures | None,
        attribute_values: torch.Tensor | None = None,
        finding_locations: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the K visual tokens [B,K,D_txt] of B studies and their mask [B,K] bool.

        Args:
            finding_states: [B,F], indices into `STATES`.
            visual: Output of `encode_images`; None for studies without images.
            attribute_values: [B,A], indices into `AttributeConfig.conditioning_values`; all unknown by default.
            finding_locations: [B,F,P] 0 or 1, parts of the location of each finding; all unknown by default.
        """
        if attribute_values is None:
            attribute_values = finding_states.new_zeros(len(finding_states), len(self.config.attributes))
        return self.conditioning.visual_tokens(
            self.projector, finding_states, visual, attribute_values, finding_locations, self.decoder.embed
        )

    @staticmethod
    def decide_attributes(visual: VisualFeatures) -> torch.Tensor:
        """Return the most probable attribute values [B,A], indices into `AttributeConfig.conditioning_values`."""
        values = [logits.argmax(-1) + 1 for logits in visual.attribute_logits]
        no_values = torch.zeros(len(visual.finding_logits), 0, dtype=torch.long, device=visual.finding_logits.device)
        return torch.stack(values, dim=1) if values else no_values

    def probabilities(self, finding_logits: torch.Tensor) -> torch.Tensor:
        """Return the calibrated probabilities [B,F] of finding_logits [B,F], 0..1. Nothing else calibrates them."""
        findings = self.config.findings
        logits = finding_logits / findings.temperature
        return (logits if findings.shift is None else logits + logits.new_tensor(findings.shift)).sigmoid()

    def decide(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Return the finding states [B,F], indices into `STATES`, as `decide_states` decides.

        Args:
            probabilities: [B,F], 0..1.
        """
        return decide_states(probabilities, self.config.findings, self.config.finding_schema)


def _build_language_model(
    config: ModelConfig, conditioning: Conditioning, for_inference: bool
) -> PreTrainedModel | Gpt2LanguageModel:
    """Build the decoder that a configuration describes."""
    cross_attention = conditioning.adds_cross_attention
    decoder = config.decoder
    if for_inference and decoder.transformer is None:
        return Gpt2LanguageModel(
            Gpt2Config(
                vocab_size=config.vocabulary_size,
                hidden_size=decoder.width,
                num_hidden_layers=decoder.layers,
                num_attention_heads=decoder.heads,
                max_position_embeddings=decoder.positions,
                add_cross_attention=cross_attention,
            )
        )
    from report_gen.model.language_model import build_from_configuration, build_gpt2  # takes seconds to import

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
