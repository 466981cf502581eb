"""Divide the positions of the decoder between the prompt and the report of one study.

The report has precedence: at least half of the positions are reserved for the report, or its maximum length if that is
less. The technique and the indication are shortened to fit into the remaining positions. The other studies of a batch
are not considered, so that the length of a draft never depends on their prompts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from report_gen.prompting import LONGEST_READ, LONGEST_VALUE, Prompt, clean_value, cut_at_word, render
from report_gen.tokenizer import ReportTokenizer


@dataclass(frozen=True)
class FittedPrompt:
    """The prompt of one study, and the length of report that it leaves."""

    token_ids: list[int]
    """[P], without the begin token."""
    max_report_tokens: int
    """Maximum number of report tokens R."""
    notices: tuple[str, ...]
    """Which values were shortened."""


def fit_prompt(
    prompt: Prompt,
    tokenizer: ReportTokenizer,
    *,
    indication: str,
    views: str,
    technique: str,
    free_positions: int,
    max_report_tokens: int,
) -> FittedPrompt | None:
    """Render and encode the prompt of a study.

    Args:
        prompt: The prompt of the model.
        tokenizer: The tokenizer of the model.
        indication: Why the study was ordered.
        views: The views of the study, in words.
        technique: How the images were acquired.
        free_positions: Positions of the decoder for prompt and report: all but those of the visual tokens and of the
            begin token.
        max_report_tokens: Maximum number of report tokens that the user wants.

    Returns:
        The prompt, or None if it leaves no position for a report even without indication and technique.
    """

    def encode(*, indication: str = "", technique: str = "") -> list[int]:
        return tokenizer.encode(render(prompt, indication=indication, views=views, technique=technique))

    shortest = len(encode())
    if shortest >= free_positions:
        return None
    kept_for_report = min(max_report_tokens, (free_positions + 1) // 2)
    limit = max(free_positions - kept_for_report, shortest)
    technique_used = _shorten(technique, lambda value: len(encode(technique=value)), limit)
    indication_used = _shorten(indication, lambda value: len(encode(indication=value, technique=technique_used)), limit)
    token_ids = encode(indication=indication_used, technique=technique_used)
    return FittedPrompt(
        token_ids,
        min(max_report_tokens, free_positions - len(token_ids)),
        (
            *_notice(prompt, "technique", technique, technique_used),
            *_notice(prompt, "indication", indication, indication_used),
        ),
    )


def _shorten(value: str, count_tokens: Callable[[str], int], limit: int) -> str:
    """Return the longest beginning of a value, cut at a word, with which the prompt has at most `limit` tokens."""
    cleaned = cut_at_word(clean_value(value), LONGEST_VALUE)
    if count_tokens(cleaned) <= limit:
        return cleaned
    length = bisect_right(range(1, len(cleaned)), limit, key=lambda n: count_tokens(cut_at_word(cleaned, n)))
    while length and count_tokens(cut_at_word(cleaned, length)) > limit:  # a longer text may have fewer tokens
        length -= 1
    return cut_at_word(cleaned, length)


def _notice(prompt: Prompt, name: str, given: str, used: str) -> tuple[str, ...]:
    if f"{{{name}}}" not in prompt.text or not given.strip():
        return ()
    cleaned = clean_value(given)
    if len(used) < len(cleaned) or (used and len(given.rstrip()) > LONGEST_READ):
        return (f"the {name} is too long: the model got only its first {len(used)} characters",)
    return () if used else (f"the {name} was left out: no words that the model can use were found in it",)
