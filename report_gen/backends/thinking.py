"""Separate the answer of a chat model from its thinking parts and from a chat that the model repeats or continues."""

from __future__ import annotations

import re
from typing import NamedTuple

from report_gen.backends.positioned_text import Span

_FORMS: tuple[tuple[str, str], ...] = (
    *((rf"<{name}>", rf"</{name}>") for name in ("think", "thinking", "thought", "reasoning")),
    (r"\[THINK\]", r"\[/THINK\]"),  # Magistral
    (r"◁think▷", r"◁/think▷"),  # Kimi-VL
    (r"<unused94>", r"<unused95>"),  # Gemma 3, MedGemma
    (r"<\|channel>thought\b", r"<channel\|>"),  # Gemma 4
    (r"<\|channel\|>(?:analysis|commentary)\b", r"<\|channel\|>final<\|message\|>"),  # gpt-oss
    (r"\Aanalysis(?=[A-Z])", r"assistantfinal"),  # gpt-oss without its special tokens
)
"""Patterns of the beginning and of the end of a thinking part."""
_MARK = re.compile(r"(?=[<\[◁a])(?:" + "|".join(f"({opening})|({closing})" for opening, closing in _FORMS) + ")")
# Some models repeat the chat before they answer, and some go on with a message of the user.
_TURN = r"(?:<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>)\s*"
_ECHO = re.compile(rf"\s*(?:<s>|<bos>|<\|begin_of_text\|>)?\s*(?:{_TURN}|\[INST\])")
_TURN_END = re.compile(r"(?<=\S)\s*(?:<\|im_end\|>|<\|eot_id\|>|<end_of_turn>|</s>)")
_ANSWER_ROLE = re.compile(
    rf"(?:^|\s)ASSISTANT:|^(?:assistant|model):?[ \t]*$|<\|assistant\|>|{_TURN}(?:assistant|model)\b|\[/INST\]",
    re.MULTILINE,
)
_NEXT_ROLE = re.compile(
    rf"^(?:USER|Human|### Human|### Instruction)[ \t]*:|^user:?[ \t]*$|<\|user\|>|{_TURN}user\b|\[INST\]",
    re.MULTILINE,
)


class Thinking(NamedTuple):
    """The parts of a reply that are the answer, and the size of its thinking parts."""

    answer: list[Span]
    characters: int
    """Number of characters of the thinking parts with their marks."""
    unfinished: bool
    """The last thinking part has no end."""


def find_thinking(text: str) -> Thinking:
    """Find the thinking parts of a reply.

    A thinking part without an end lasts until the end of the reply. An end without a beginning ends a part that began
    with the reply, because some chat templates put the beginning into the prompt.
    """
    answer: list[Span] = []
    reached = 0
    form: int | None = None
    for number, mark in enumerate(_MARK.finditer(text)):
        index, is_closing = divmod((mark.lastindex or 1) - 1, 2)
        if form is None and not is_closing:
            answer.append((reached, mark.start()))
            form = index
        elif form == index and is_closing:
            reached, form = mark.end(), None
        elif form is None and number == 0:
            reached = mark.end()
    if form is None:
        answer.append((reached, len(text)))
    kept = [(start, end) for start, end in answer if text[start:end].strip()]
    characters = len(text) - sum(end - start for start, end in answer)
    return Thinking(kept, characters, form is not None)


def answer_of_chat(text: str) -> Span:
    """Return the span of the answer in a text that may repeat the chat before it or continue it after it."""
    start, end = 0, len(text) if _ECHO.match(text) else _first(_TURN_END, text, 0, len(text))
    for role in _ANSWER_ROLE.finditer(text, 0, end):
        start = role.end()
        if text[start:end].strip():
            break
    end = _first(_TURN_END, text, start, end)
    return start, _first(_NEXT_ROLE, text, start, end)


def _first(mark: re.Pattern[str], text: str, start: int, end: int) -> int:
    """Return where the first mark between two positions begins; the end if nothing is before it."""
    found = mark.search(text, start, end)
    return found.start() if found and text[start : found.start()].strip() else end
