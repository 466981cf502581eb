"""Reports from visual tokens: greedy, beam search or sampling, and the choice of the faithful one."""

from report_gen.generation.choosing import departures, disagreement
from report_gen.generation.decoding import Decoding
from report_gen.generation.writing import Written, generate

__all__ = ["Decoding", "Written", "departures", "disagreement", "generate"]
