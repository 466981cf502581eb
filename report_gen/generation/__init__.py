"""Reports from visual tokens: greedy, beam search or sampling, and the choice of the faithful one."""

from report_gen.generation.decoding import FAITHFUL, Decoding
from report_gen.generation.generate import Written, generate
from report_gen.generation.reranking import departures

__all__ = ["FAITHFUL", "Decoding", "Written", "departures", "generate"]
