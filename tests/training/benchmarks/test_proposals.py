"""Proposals replayed over known texts, by hand."""

from __future__ import annotations

from report_gen_training.benchmarks.proposals import ScriptedProposer, replay

from report_gen.generation.proposals import Proposer
from report_gen.model import Continuations
from report_gen.tokenizer import BOS_ID, EOS_ID


def test_passes_count_proposals_and_right_ones() -> None:
    """Text 5 6 7 8 and the end. The prefix gives 5; 5 6 proposes 7 9, of which 7 is right; 7 8 proposes the end."""
    continuations = Continuations({(BOS_ID, 5): 6, (5, 6): 7, (6, 7): 9, (7, 8): EOS_ID})
    assert list(replay([5, 6, 7, 8], Proposer([[]], continuations))) == [(3, 2), (1, 1)]
    assert list(replay([5, 6, 7, 8], Proposer([[]]))) == [(0, 0)] * 4


def test_a_script_is_followed() -> None:
    proposer = ScriptedProposer([5, 6, 7, 8, 9], [(3, 2), (1, 0)])
    assert proposer.propose(0, [5], most=9) == [6, 7, 9]
    assert proposer.propose(0, [5, 6, 7, 8], most=9) == [10]
    assert proposer.propose(0, [5], most=1) == [6]  # the first pass again
