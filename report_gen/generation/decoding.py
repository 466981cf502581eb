"""Options of the decoding: method, length, sampling and number of candidates. Loads no torch."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Literal

from report_gen.arguments import MAX_SEED, check_count
from report_gen.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How the text of a draft is generated.

    Raises:
        UsageError: An option is unknown or outside its range.
    """

    method: Literal["greedy", "beam", "sample"] = "greedy"
    """Method for the first candidate; further candidates are always sampled."""
    beams: int = 4
    """Width of the beam search. Only for the method `beam`."""
    temperature: float = 0.8
    """Divides the logits before sampling: below 1 sharpens the distribution, above 1 flattens it."""
    top_p: float = 0.9
    """Sampling keeps the most probable tokens whose probabilities add up to `top_p` (Holtzman et al., ICLR 2020)."""
    max_tokens: int = 160
    """Largest number of report tokens R."""
    candidates: int = 1
    """Number of texts per study from which the most consistent one is kept, see `reranking.py`."""
    seed: int = 0
    """Seed of the sampling, combined with the content of each study. Greedy and beam search do not use the seed."""

    remove_unsupported: bool = False
    """Remove sentences about findings that the model does not predict, see `auditing/unsupported.py`."""

    def __post_init__(self) -> None:
        if self.method not in ("greedy", "beam", "sample"):
            raise UsageError(f"decoding method {self.method!r} is not known; choose greedy, beam or sample")
        for name in ("max_tokens", "beams", "candidates"):
            check_count(name, getattr(self, name))
        for name, largest in (("temperature", sys.float_info.max), ("top_p", 1)):
            value: object = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value <= largest:  # also true for NaN
                raise UsageError(f"{name} is {value!r}; give a number above 0 and at most {largest}")
        check_count("seed", self.seed, least=0, largest=MAX_SEED)

    @property
    def samples(self) -> bool:
        """Whether any candidate is sampled."""
        return self.method == "sample" or self.candidates > 1

    def options(self) -> dict[str, str | int | float | bool]:
        """Return the options that influence the text, for the provenance of a draft."""
        common: dict[str, str | int | float | bool] = {"method": self.method, "max_tokens": self.max_tokens}
        if self.method == "beam":
            common["beams"] = self.beams
        if self.samples:
            common |= {"temperature": self.temperature, "top_p": self.top_p, "seed": self.seed}
        return common | {"candidates": self.candidates, "remove_unsupported": self.remove_unsupported}


@dataclass(frozen=True, kw_only=True)
class DecodingChoice:
    """The options of the decoding that a user chose. The others are those of the model."""

    method: Literal["greedy", "beam", "sample"] | None = None
    candidates: int | None = None
    seed: int = 0

    def apply(self, default: Decoding) -> Decoding:
        """Return the decoding of a model with the chosen options.

        Args:
            default: Decoding of the model.

        Raises:
            UsageError: An option is unknown or outside its range.
        """
        return replace(
            default,
            method=default.method if self.method is None else self.method,
            candidates=default.candidates if self.candidates is None else self.candidates,
            seed=self.seed,
        )


DEFAULT_DECODING = Decoding(method="beam", candidates=8, temperature=0.6, remove_unsupported=True)
"""Decoding that drafting uses unless the caller chooses another."""
