"""Read a report out of the free text of a chat model."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from report_gen.auditing import has_deidentification_mark, is_fragment
from report_gen.backends.interface import Reply
from report_gen.backends.positioned_text import PositionedText, Span
from report_gen.backends.remarks import content_start, is_refusal, is_remark, may_describe_images
from report_gen.backends.reply_json import replace_json
from report_gen.backends.reply_markup import remove_markup
from report_gen.backends.reply_repetition import find_loop, words_of
from report_gen.backends.reply_sentences import split_reply, tidy
from report_gen.backends.thinking import Thinking, answer_of_chat, find_thinking
from report_gen.controls import shorten
from report_gen.generation import GeneratedText
from report_gen.generation.confidence import geometric_mean
from report_gen.labeling import report_parts
from report_gen.records import DESCRIBING_SECTIONS, Section, SectionName, Sentence

_LONGEST_ANSWER = 40_000
"""Largest number of characters of an answer that are read. Long reports have 10,000."""
_LONGEST_SENTENCE = 400
"""Largest number of words of a sentence. Longer ones are left out."""
_LONGEST_WORD = 100
"""Largest number of characters of a word. Sentences with a longer one are left out."""
_MOST_SENTENCES = 200
"""Largest number of sentences of a section. A model that counts without end writes more."""
_FEWEST_ECHOED = 8
"""Least number of words of the prompt at the beginning of an answer that count as an echo."""
_LONGEST_QUOTE = 200
"""Largest number of characters that a problem quotes from the reply."""


@dataclass(frozen=True, kw_only=True)
class ParsedReply:
    """The report in a reply, and what else the reply contains."""

    text: GeneratedText
    """FINDINGS and IMPRESSION; without sections if the reply has no usable report."""
    thinking_characters: int = 0
    """Number of characters of the thinking parts, which were removed."""
    refusal: str = ""
    """The sentence by which the model refuses; empty if the reply has a report."""
    problem: str = ""
    """Why the reply has no usable report, in a part of a sentence; empty if it has one."""
    notices: tuple[str, ...] = ()
    """What was removed from the reply, one sentence each."""


def parse_reply(reply: Reply, prompt: str = "") -> ParsedReply:
    """Read the sections of a report out of a reply.

    Text without headings is FINDINGS. Markdown, JSON and tags are removed. Left out are thinking parts, sections that
    describe no image, remarks to the user, repetitions, and sentences with de-identification marks. The confidence of
    a sentence is the geometric mean of the probabilities of its tokens.

    Args:
        reply: The reply.
        prompt: The text of the user. If the answer begins with it, the echo is left out.
    """
    thinking = find_thinking(reply.text)
    left_out = _LeftOut()
    if thinking.characters:
        left_out.notices.append(f"a thinking part of {thinking.characters} characters was removed from the reply")
    answer = PositionedText.from_spans(reply.text, thinking.answer)
    if len(answer.text) > _LONGEST_ANSWER:
        # A part of a sentence may state the opposite: "No pneumothorax is seen on the right, but one on the left."
        last_stop = max(answer.text.rfind(stop, 0, _LONGEST_ANSWER) for stop in (". ", ".\n", "\n"))
        answer = answer.cut(0, last_stop + 1 or _LONGEST_ANSWER)
        left_out.notices.append(f"the reply was cut after {len(answer.text)} characters")
    answer = answer.cut(*answer_of_chat(answer.text))
    own = _without_echo(answer, prompt)
    plain, other_json = replace_json(own)
    plain = remove_markup(plain)
    sections = () if reply.refused else _sections(plain, reply, left_out)
    text = GeneratedText(
        sections,
        _confidence(reply, answer.span) if sections else None,
        ended=reply.ended,
        finite=all(map(math.isfinite, reply.probabilities)),
    )
    refusal = "" if sections else _refusal(plain, reply)
    return ParsedReply(
        text=text,
        thinking_characters=thinking.characters,
        refusal=refusal,
        problem=""
        if sections
        else _problem(refusal, thinking, own.text, other_json=other_json, echoed=own is not answer),
        notices=left_out.all_notices(),
    )


@dataclass
class _LeftOut:
    """Counts what is left out of a reply."""

    notices: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """Names of the other sections."""
    remarks: int = 0
    repeated: int = 0
    endless: int = 0
    deidentified: int = 0

    def all_notices(self) -> tuple[str, ...]:
        """Return one notice for each kind."""
        outside = list(dict.fromkeys(self.names))
        if self.remarks:
            outside.append(_count(self.remarks, "remark") + " to the user")
        if outside:
            self.notices.append(f"text outside FINDINGS and IMPRESSION was left out: {', '.join(outside)}")
        if self.repeated:
            self.notices.append(f"the model repeated itself: {_count(self.repeated, 'repetition')} left out")
        if self.endless:
            self.notices.append(f"{_count(self.endless, 'sentence')} left out: too long, or too many in a section")
        if self.deidentified:
            self.notices.append(f"{_count(self.deidentified, 'sentence')} with a de-identification mark left out")
        return tuple(self.notices)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _without_echo(answer: PositionedText, prompt: str) -> PositionedText:
    """Return the answer without the prompt, or the beginning of the prompt, with which it begins."""
    start = len(answer.text) - len(answer.text.lstrip())
    words, asked = answer.text.split(), prompt.split()
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(words, asked, strict=False)))
    if not same or (same < _FEWEST_ECHOED and same < len(words)):
        return answer
    for word in words[:same]:
        start = answer.text.index(word, start) + len(word)
    return answer.cut(start)


def _sections(plain: PositionedText, reply: Reply, left_out: _LeftOut) -> tuple[Section, ...]:
    """Return the sections with usable sentences; none if no sentence may describe images."""
    sentences: dict[SectionName, dict[tuple[str, ...], Sentence]] = {name: {} for name in DESCRIBING_SECTIONS}
    reached = 0
    for section, start, end in report_parts(plain.text):
        before, heading = _split_gap(plain.text[reached:start])
        if _has_letters(before):
            left_out.names.append("text before the first section")
        if section.upper() in sentences:
            _add_sentences(sentences[SectionName(section.upper())], plain.cut(start, end), reply, left_out)
        elif _has_letters(plain.text[start:end]):
            left_out.names.append(heading or section)
        reached = end
    sections = tuple(Section(name, tuple(found.values())) for name, found in sentences.items() if found)
    return sections if any(may_describe_images(one.text) for part in sections for one in part.sentences) else ()


def _split_gap(gap: str) -> tuple[str, str]:
    """Return the text before a heading, and the heading without its colon."""
    before, _, line = gap.rstrip().rpartition("\n")
    earlier, stop, heading = line.rpartition(". ")
    return before + earlier + stop, shorten(heading.strip(" :*#-"), 60)


def _has_letters(text: str) -> bool:
    return any(map(str.isalpha, text))


def _add_sentences(
    sentences: dict[tuple[str, ...], Sentence], part: PositionedText, reply: Reply, left_out: _LeftOut
) -> None:
    """Add the usable sentences of a part of the reply to those of its section, by their words."""
    for whole in split_reply(part):
        sentence = whole.cut(content_start(whole.text)).single_spaced()
        words = words_of(sentence.text)
        if not _has_letters(sentence.text):
            continue
        if is_refusal(sentence.text) or is_remark(sentence.text):
            left_out.remarks += 1
        elif has_deidentification_mark(sentence.text):
            left_out.deidentified += 1
        elif words in sentences:
            left_out.repeated += 1
        elif (loop := find_loop(sentence.text)) is not None:
            left_out.repeated += 1
            beginning = sentence.cut(0, loop.start)
            if loop.words > 1 and not is_fragment(tidy(beginning.text, is_complete=True)):
                _add(sentences, beginning, reply)
        elif _is_endless(sentence.text, words) or len(sentences) >= _MOST_SENTENCES:
            left_out.endless += 1
        else:
            _add(sentences, sentence, reply)


def _add(sentences: dict[tuple[str, ...], Sentence], sentence: PositionedText, reply: Reply) -> None:
    is_complete = reply.ended or sentence.span[1] < len(reply.text.rstrip())
    text = tidy(sentence.text, is_complete=is_complete)
    sentences.setdefault(words_of(text), Sentence(text, _confidence(reply, sentence.span)))


def _is_endless(sentence: str, words: Sequence[str]) -> bool:
    return len(words) > _LONGEST_SENTENCE or any(len(word) > _LONGEST_WORD for word in sentence.split())


def _confidence(reply: Reply, span: Span) -> float | None:
    """Return the geometric mean of the probabilities of the tokens that a part of the reply has characters of."""
    if not reply.token_ends or len(reply.token_ends) != len(reply.probabilities):
        return None
    first, last = bisect_right(reply.token_ends, span[0]), bisect_left(reply.token_ends, span[1])
    return geometric_mean(reply.probabilities[first : last + 1])


def _refusal(plain: PositionedText, reply: Reply) -> str:
    """Return the first sentence by which the model refuses; empty if there is none."""
    if reply.refused:
        return shorten(plain.text.strip(), _LONGEST_QUOTE)
    refusals = (sentence.text for sentence in split_reply(plain) if is_refusal(sentence.text))
    return shorten(tidy(next(refusals, ""), is_complete=True), _LONGEST_QUOTE)


def _problem(refusal: str, thinking: Thinking, answer: str, *, other_json: bool, echoed: bool) -> str:
    """Return why a reply has no usable report."""
    if refusal:
        return f'the model refused: "{refusal}"'
    if answer.strip():
        quote = shorten(answer.strip(), _LONGEST_QUOTE)
        return (
            "the reply is JSON without findings and impression"
            if other_json
            else f'no sentence of the reply describes an image: "{quote}"'
        )
    if thinking.unfinished:
        return "the reply is a thinking part that was not finished, without an answer"
    return "the reply repeats the prompt" if echoed else "the reply is empty"
