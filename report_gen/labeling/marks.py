"""Phrases of a sentence, marked with the states that cues give them."""

from __future__ import annotations

from dataclasses import dataclass

from report_gen.labeling.phrases import Phrase
from report_gen.records import FindingState

DENIED, HEDGED, NOT_MENTIONED = FindingState.ABSENT, FindingState.UNCERTAIN, FindingState.NOT_MENTIONED
STATED = FindingState.PRESENT
"""States that a cue gives to the phrases that it modifies. A phrase that is STATED keeps its own state."""


@dataclass(slots=True)
class Mark:
    """A phrase of a sentence, and how cues modify it."""

    phrase: Phrase
    clause: int
    """Number of the clause in the sentence."""
    before: FindingState | None = None
    """State from a cue before the phrase; None if there is no such cue."""
    after: FindingState | None = None
    """State from a cue after the phrase; None if there is no such cue."""

    @property
    def modifier(self) -> FindingState | None:
        """State from the cues that modify the phrase; None if no cue does. A cue after the phrase has precedence."""
        return self.before if self.after is None else self.after
