"""The configuration of a checkpoint that is an adapter: its decoder is a base with low-rank products added."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from report_gen.config.architecture import MAX_WIDTH
from report_gen.config.base import FrozenModel, ShortText


class AdapterConfig(FrozenModel):
    """The base of an adapter, and the low-rank matrices (LoRA, Hu et al., ICLR 2022) that change it.

    The checkpoint contains the encoder, the projector, the heads, the low-rank matrices, and everything of the decoder
    that the base does not have. It does not contain the weights of the base.
    """

    base: Annotated[ShortText, Field(min_length=1)]
    """The base as the author of the recipe named it: a folder, a GGUF file, an installed package, or a hub name. Only
    an installed package is opened by this name; any other base has to be named by the user again."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the bytes of the weights file of the base; of several safetensors files, of their bytes one after
    another in the order of their names."""
    rank: int = Field(ge=1, le=4096)
    """Rank of the low-rank matrices."""
    alpha: float = Field(gt=0, le=1e6)
    """The low-rank products are multiplied by alpha / rank before they are added to the weights of the base."""
    targets: tuple[ShortText, ...] = Field(min_length=1, max_length=MAX_WIDTH)
    """The changed linear layers of the base: those with one of these names, or with a name that ends in a dot and one
    of these names."""
    keeps_tokens: bool
    """Whether token embeddings and output layer are rows of those of the base; the weights file lists the row of every
    token id. Otherwise they are new and in the weights file."""
