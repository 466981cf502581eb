"""Reports from visual tokens: greedy, beam search or sampling, and the choice of the faithful one."""

from report_gen.generation.decoding import DEFAULT_DECODING, Decoding
from report_gen.generation.generate import GeneratedText, generate
from report_gen.generation.reranking import mismatched_findings

__all__ = ["DEFAULT_DECODING", "Decoding", "GeneratedText", "generate", "mismatched_findings"]
