"""Text generation: greedy decoding, beam search, sampling, confidence, and the selection of a candidate.

Modules are imported at their first use, because `decoding` is needed without torch.
"""

from typing import TYPE_CHECKING

from report_gen.lazy import lazy_exports

if TYPE_CHECKING:
    from report_gen.generation.cached_decoder import CachedDecoder
    from report_gen.generation.decoding import DEFAULT_DECODING, Decoding, DecodingChoice
    from report_gen.generation.inference import find_cached_decoder, generate_texts, generate_tokens
    from report_gen.generation.key_value_cache import CacheShape
    from report_gen.generation.proposals import Proposer, benefits_from_proposals
    from report_gen.generation.recorded_steps import RecordedDecoder
    from report_gen.generation.reranking import mismatched_findings, mismatched_locations, most_agreed
    from report_gen.generation.sampling import Sampler, study_generator
    from report_gen.generation.text_composing import GeneratedText
    from report_gen.generation.token_hooks import CallBeforeToken, SampleTokens
    from report_gen.generation.tokens import GeneratedTokens
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "cached_decoder": ("CachedDecoder",),
            "decoding": ("DEFAULT_DECODING", "Decoding", "DecodingChoice"),
            "inference": ("find_cached_decoder", "generate_texts", "generate_tokens"),
            "key_value_cache": ("CacheShape",),
            "proposals": ("Proposer", "benefits_from_proposals"),
            "reranking": ("mismatched_findings", "mismatched_locations", "most_agreed"),
            "recorded_steps": ("RecordedDecoder",),
            "sampling": ("Sampler", "study_generator"),
            "text_composing": ("GeneratedText",),
            "token_hooks": ("CallBeforeToken", "SampleTokens"),
            "tokens": ("GeneratedTokens",),
        },
    )

__all__ = [
    "DEFAULT_DECODING",
    "CacheShape",
    "CachedDecoder",
    "CallBeforeToken",
    "Decoding",
    "DecodingChoice",
    "GeneratedText",
    "GeneratedTokens",
    "Proposer",
    "RecordedDecoder",
    "SampleTokens",
    "Sampler",
    "benefits_from_proposals",
    "find_cached_decoder",
    "generate_texts",
    "generate_tokens",
    "mismatched_findings",
    "mismatched_locations",
    "most_agreed",
    "study_generator",
]
