"""Reports from visual tokens: greedy, beam search or sampling, and the choice of the faithful one."""

from report_gen.generation.choosing import departures
from report_gen.generation.decoding import FAITHFUL, Decoding
from report_gen.generation.writing import Written, generate

__all__ = ["FAITHFUL", "Decoding", "Written", "departures", "generate"]
