"""The three ways to condition the decoder on images, findings and attributes, behind one interface.

| name | what reaches the decoder | positions |
|---|---|---|
| `prefix` | visual tokens before the prompt | K |
| `cross_attention` | visual tokens, through cross-attention layers added to the decoder | none |
| `numbers` | pooled image features as digits before the prompt; a measured baseline | `FeatureNumbers.longest` |

No code outside this module depends on which of them a model uses. They contain no weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import ClassVar, Literal, Self

import torch

from report_gen.config import CONDITIONING_TRAITS, ConditioningName, ConditioningTraits, ModelConfig, ProjectorConfig
from report_gen.model.feature_numbers import Encode, FeatureNumbers, example_lines
from report_gen.model.projector import Projector, VisualFeatures

Embed = Callable[[torch.Tensor], torch.Tensor]
"""Converts token ids [B,L] to token embeddings [B,L,D_txt]."""


class Conditioning(ABC):
    """How the images, findings and attributes of a study reach the decoder."""

    name: ClassVar[ConditioningName]
    adds_cross_attention: ClassVar[bool] = False
    """Whether the decoder needs cross-attention layers."""
    uses_visual_tokens: ClassVar[bool] = True
    """Whether the decoder gets the visual tokens of the projector."""
    size_key: ClassVar[str]
    """Field of `ProjectorConfig` that sets how many positions the images take."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: ModelConfig, *, image_width: int, encode: Encode | None) -> Self:
        """Build the conditioning of a model.

        Args:
            config: Configuration of the model.
            image_width: Width D_img of the patch features.
            encode: Tokenizer, for a conditioning that writes text.

        Raises:
            CheckpointError: The configuration does not fit the encoder.
        """

    @staticmethod
    def vocabulary_examples(projector: ProjectorConfig) -> Iterator[str]:
        """Return texts that the vocabulary of a new model must be able to spell, besides the reports."""
        return iter(())

    @property
    def traits(self) -> ConditioningTraits:
        """Properties of this conditioning."""
        return CONDITIONING_TRAITS[self.name]

    @property
    @abstractmethod
    def patch_tokens(self) -> int | Literal["all"]:
        """Patch tokens that the projector makes, as in `ProjectorConfig.patch_tokens`."""

    @abstractmethod
    def positions(self, *, findings: int, attributes: int, patches: int) -> int:
        """Return the largest number of decoder positions that a study takes before its prompt.

        Args:
            findings: F.
            attributes: A.
            patches: Patches of all views of the study, V*N.
        """

    @abstractmethod
    def encode_patches(
        self, visual: VisualFeatures, patch_features: torch.Tensor, view_mask: torch.Tensor, embed: Embed
    ) -> VisualFeatures:
        """Return visual features with the patch tokens that the decoder gets.

        Args:
            visual: Output of the projector.
            patch_features: [B,V,N,D_img], with view_mask [B,V] bool.
            embed: Token embeddings of the decoder.
        """

    @abstractmethod
    def visual_tokens(
        self,
        projector: Projector,
        finding_states: torch.Tensor,
        visual: VisualFeatures | None,
        attribute_values: torch.Tensor,
        finding_locations: torch.Tensor | None,
        embed: Embed,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the visual tokens [B,K,D_txt] of B studies and their mask [B,K] bool.

        Args:
            projector: Projector of the model.
            finding_states: [B,F], indices into `STATES`.
            visual: Visual features; None for studies without images.
            attribute_values: [B,A], indices into `AttributeConfig.conditioning_values`, 0 for unknown.
            finding_locations: [B,F,P] 0 or 1, parts of the locations of the findings; None if all are unknown.
            embed: Token embeddings of the decoder.
        """

    @abstractmethod
    def decoder_inputs(
        self,
        visual_tokens: torch.Tensor,
        visual_mask: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        embed: Embed,
    ) -> dict[str, torch.Tensor]:
        """Return keyword arguments for a language model of transformers or its `generate`.

        Args:
            visual_tokens: [B,K,D_txt], with visual_mask [B,K].
            input_ids: [B,L], with attention_mask [B,L].
            embed: Token embeddings of the decoder.
        """


class PrefixConditioning(Conditioning):
    """Visual tokens of findings, attributes and patches precede the prompt."""

    name: ClassVar[ConditioningName] = "prefix"
    size_key = "patch_tokens"

    def __init__(self, patch_tokens: int | Literal["all"]) -> None:
        self._patch_tokens = patch_tokens

    @classmethod
    def from_config(cls, config: ModelConfig, *, image_width: int, encode: Encode | None) -> Self:
        return cls(config.projector.patch_tokens)

    @property
    def patch_tokens(self) -> int | Literal["all"]:
        return self._patch_tokens

    def positions(self, *, findings: int, attributes: int, patches: int) -> int:
        return findings + attributes + (patches if self._patch_tokens == "all" else self._patch_tokens)

    def encode_patches(
        self, visual: VisualFeatures, patch_features: torch.Tensor, view_mask: torch.Tensor, embed: Embed
    ) -> VisualFeatures:
        return visual

    def visual_tokens(
        self,
        projector: Projector,
        finding_states: torch.Tensor,
        visual: VisualFeatures | None,
        attribute_values: torch.Tensor,
        finding_locations: torch.Tensor | None,
        embed: Embed,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        findings = projector.finding_tokens(finding_states, visual, finding_locations)  # [B,F,D_txt]
        tokens = torch.cat([findings, projector.attribute_tokens(attribute_values)], dim=1)  # [B,F+A,D_txt]
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        if visual is None:
            return tokens, mask
        return torch.cat([tokens, visual.patch_tokens], dim=1), torch.cat([mask, visual.patch_mask], dim=1)

    def decoder_inputs(
        self,
        visual_tokens: torch.Tensor,
        visual_mask: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        embed: Embed,
    ) -> dict[str, torch.Tensor]:
        embedded = embed(input_ids)
        return {
            "inputs_embeds": torch.cat([visual_tokens.to(embedded.dtype), embedded], dim=1),  # [B,K+L,D_txt]
            "attention_mask": torch.cat([visual_mask.to(attention_mask.dtype), attention_mask], dim=1),
        }


class CrossAttentionConditioning(PrefixConditioning):
    """The same visual tokens go into cross-attention layers of the decoder."""

    name: ClassVar[ConditioningName] = "cross_attention"
    adds_cross_attention = True

    def positions(self, *, findings: int, attributes: int, patches: int) -> int:
        return 0

    def decoder_inputs(
        self,
        visual_tokens: torch.Tensor,
        visual_mask: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        embed: Embed,
    ) -> dict[str, torch.Tensor]:
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "encoder_hidden_states": visual_tokens,
            "encoder_attention_mask": visual_mask,
        }


class NumbersConditioning(PrefixConditioning):
    """Pooled image features precede the prompt as a line of decimal numbers, without findings and attributes."""

    name: ClassVar[ConditioningName] = "numbers"
    uses_visual_tokens = False
    size_key = "numbers"

    def __init__(self, numbers: FeatureNumbers) -> None:
        super().__init__(patch_tokens=0)
        self._numbers = numbers

    @classmethod
    def from_config(cls, config: ModelConfig, *, image_width: int, encode: Encode | None) -> Self:
        projector = config.projector
        return cls(
            FeatureNumbers(channels=image_width, numbers=projector.numbers, decimals=projector.decimals, encode=encode)
        )

    @staticmethod
    def vocabulary_examples(projector: ProjectorConfig) -> Iterator[str]:
        return example_lines(projector.numbers, projector.decimals)

    def positions(self, *, findings: int, attributes: int, patches: int) -> int:
        return self._numbers.longest

    def encode_patches(
        self, visual: VisualFeatures, patch_features: torch.Tensor, view_mask: torch.Tensor, embed: Embed
    ) -> VisualFeatures:
        number_ids, mask = self._numbers(patch_features, view_mask)  # [B,K]
        return replace(visual, patch_tokens=embed(number_ids), patch_mask=mask)

    def visual_tokens(
        self,
        projector: Projector,
        finding_states: torch.Tensor,
        visual: VisualFeatures | None,
        attribute_values: torch.Tensor,
        finding_locations: torch.Tensor | None,
        embed: Embed,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if visual is not None:
            return visual.patch_tokens, visual.patch_mask
        no_ids = finding_states[:, :0]  # [B,0]
        return embed(no_ids), no_ids.bool()


_TYPES: Mapping[ConditioningName, type[Conditioning]] = MappingProxyType(
    {kind.name: kind for kind in (PrefixConditioning, CrossAttentionConditioning, NumbersConditioning)}
)


def conditioning_type(name: ConditioningName) -> type[Conditioning]:
    """Return the class of a conditioning by its name in the configuration."""
    return _TYPES[name]
