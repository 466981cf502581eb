"""Divide the positions of the decoder between the prompt and the report of one study.

The report has precedence: at least half of the positions are reserved for the report, or its maximum length if that is
less. The values of the prompt are shortened to fit into the remaining positions, the report of the prior study first.
The other studies of a batch are not considered, so that the length of a draft never depends on their prompts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from report_gen.drafting.prompt_values import VALUE_LABELS, describe_shortening
from report_gen.prompting import LONGEST_VALUE, Prompt, PromptValues, clean_value, cut_at_word, render
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
    values: Mapping[str, str] = field(default_factory=dict)
    """The values of `VALUE_LABELS` that the prompt has, as the model got them; empty where nothing was left."""


def fit_prompt(
    prompt: Prompt,
    tokenizer: ReportTokenizer,
    values: PromptValues,
    *,
    free_positions: int,
    max_report_tokens: int,
) -> FittedPrompt | None:
    """Render and encode the prompt of a study.

    Args:
        prompt: The prompt of the model.
        tokenizer: The tokenizer of the model.
        values: What the prompt says about the study; the values of `VALUE_LABELS` may be shortened.
        free_positions: Positions of the decoder for prompt and report: all but those of the visual tokens and of the
            begin token.
        max_report_tokens: Maximum number of report tokens that the user wants.

    Returns:
        The prompt, or None if it leaves no position for a report even without the values of `VALUE_LABELS`.
    """

    def encode(**shortened: str) -> list[int]:
        return tokenizer.encode(render(prompt, PromptValues(views=values.views, **shortened)))

    def count_tokens(others: Mapping[str, str], name: str, value: str) -> int:
        return len(encode(**{**others, name: value}))

    shortest = len(encode())
    if shortest >= free_positions:
        return None
    kept_for_report = min(max_report_tokens, (free_positions + 1) // 2)
    limit = max(free_positions - kept_for_report, shortest)
    used: dict[str, str] = {}
    notices: list[str] = []
    for name, label in VALUE_LABELS.items():
        if name in prompt.placeholders:
            given: str = getattr(values, name)
            used[name] = _shorten(given, partial(count_tokens, used, name), limit)
            notices += describe_shortening(label, given, used[name])
    token_ids = encode(**used)
    return FittedPrompt(token_ids, min(max_report_tokens, free_positions - len(token_ids)), tuple(notices), used)


def _shorten(value: str, count_tokens: Callable[[str], int], limit: int) -> str:
    """Return the longest beginning of a value, cut at a word, with which the prompt has at most `limit` tokens."""
    cleaned = cut_at_word(clean_value(value), LONGEST_VALUE)
    if count_tokens(cleaned) <= limit:
        return cleaned
    length = bisect_right(range(1, len(cleaned)), limit, key=lambda n: count_tokens(cut_at_word(cleaned, n)))
    while length and count_tokens(cut_at_word(cleaned, length)) > limit:  # a longer text may have fewer tokens
        length -= 1
    return cut_at_word(cleaned, length)
