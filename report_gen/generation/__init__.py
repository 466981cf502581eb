"""Text generation: greedy decoding, beam search, sampling, confidence, and the selection of a candidate."""

from report_gen.generation.decoding import DEFAULT_DECODING, Decoding
from report_gen.generation.inference import GeneratedText, GeneratedTokens, generate_texts, generate_tokens
from report_gen.generation.reranking import mismatched_findings
from report_gen.generation.sampling import study_generator

__all__ = [
    "DEFAULT_DECODING",
    "Decoding",
    "GeneratedText",
    "GeneratedTokens",
    "generate_texts",
    "generate_tokens",
    "mismatched_findings",
    "study_generator",
]
