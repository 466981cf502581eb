"""Turn the markup of a reply (Markdown, tags, tables) into plain lines, in which headings end in a colon.

An empty line separates list items, table rows and sub-headings from the text before them.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence

from report_gen.backends.positioned_text import Piece, PositionedText
from report_gen.labeling import HEADINGS
from report_gen.records import remove_controls

_Pieces = Callable[[re.Match[str]], Sequence[Piece] | None]


def remove_markup(text: PositionedText) -> PositionedText:
    """Return the text without markup and control characters. Two line feeds separate what the markup separated."""
    text = text.substitute(_TERMINAL_CODE, _nothing)
    controls = "".join(one for one in set(text.text) if not one.isspace() and not remove_controls(one))
    if controls:
        text = text.substitute(re.compile(f"[{re.escape(controls)}]+"), _nothing)
    for pattern, pieces in _STEPS:
        text = text.substitute(pattern, pieces)
    return text


def is_heading(name: str) -> bool:
    """Return whether the name is a known heading of a report."""
    return " ".join(name.upper().split()) in HEADINGS


def _break(_match: re.Match[str]) -> Sequence[Piece]:
    return ("\n\n",)


def _nothing(_match: re.Match[str]) -> Sequence[Piece]:
    return ()


def _tag(match: re.Match[str]) -> Sequence[Piece] | None:
    name = match["name"].lower()
    if is_heading(name):
        return ("\n\n",) if match["close"] else ("\n\n", match.span("name"), ":\n")
    if name in _BLOCK_TAGS:
        return ("\n\n",)
    return () if name in _INLINE_TAGS else None


def _heading_line(match: re.Match[str]) -> Sequence[Piece] | None:
    """Return a heading with a colon. A line that ends as a sentence is a sentence, in large or bold letters."""
    start = match.start("line")
    line = match["line"].rstrip(" \t#")
    if not line:
        return ("\n\n",)
    colon = "" if line.rstrip("*_ ").endswith((":", ".", "!", "?")) else ":"
    return "\n\n", (start, start + len(line)), colon, "\n"


def _bold_name(match: re.Match[str]) -> Sequence[Piece] | None:
    """Begin a line at a bold heading or label. Other bold words stay where they are."""
    has_colon = ":" in match["inside"] + match["outside"]
    if is_heading(match["name"]) and (has_colon or match["next"]):
        return "\n\n", match.span("name"), ":\n"
    return ("\n\n", match.span("name"), ": ") if match["inside"] else None


def _table_row(match: re.Match[str]) -> Sequence[Piece]:
    """Return the row as "first cell: second cell, third cell"."""
    cells = [cell.span() for cell in _CELL.finditer(match.string, *match.span("cells"))]
    separators = ("\n\n", ": ", *([", "] * len(cells)))
    return [*(piece for pair in zip(separators, cells, strict=False) for piece in pair), "\n\n"]


def _stars(match: re.Match[str]) -> Sequence[Piece] | None:
    before, after = match.string[: match.start()][-1:], match.string[match.end() : match.end() + 1]
    is_deidentification_mark = before == "[" or after == "]"
    is_operator = (before.isspace() and after.isspace()) or (before.isdigit() and after.isdigit())
    return None if is_deidentification_mark or (is_operator and len(match[0]) == 1) else ()


_BLOCK_TAGS = frozenset(
    (
        "answer",
        "br",
        "div",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "html",
        "li",
        "ol",
        "output",
        "p",
        "response",
        "table",
        "td",
        "th",
        "tr",
        "ul",
    )
)
_INLINE_TAGS = frozenset(
    (
        "analysis",
        "b",
        "body",
        "center",
        "code",
        "em",
        "font",
        "i",
        "mark",
        "s",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "u",
    )
)
_TERMINAL_CODE = re.compile(r"(?:\x1b\[|\x9b)[0-?]{0,40}[ -/]{0,10}[@-~]")
"""A control sequence of ECMA-48, such as that of a color. Without its first character the rest would be words."""
_CELL = re.compile(r"[^\s|](?:[^|\n]*[^\s|])?")
_BOLD = r"(?:\*{1,3}|__)"
_STEPS: tuple[tuple[re.Pattern[str], _Pieces], ...] = (
    (re.compile(r"\r\n?"), lambda _: ("\n",)),
    # Long runs of white space would take quadratic time in patterns that allow white space.
    (re.compile(r"[^\S\n]{2,}"), lambda _: (" ",)),
    (re.compile(r"\n(?: ?\n){2,}"), _break),
    (re.compile(r"<\|[\w ]{1,40}\|>|<(?:start|end)_of_turn>|<unused\d{1,4}>|</?s>|\[/?INST\]"), _break),
    (re.compile(r"<(?P<close>/?)(?P<name>[A-Za-z][A-Za-z0-9]{0,20})(?:\s[^<>\n]{0,200})?/?>"), _tag),
    (re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[A-Za-z]{2,8});"), lambda match: (html.unescape(match[0]),)),
    (re.compile(r"^[ \t]*(?:`{3,}|~{3,})[\w+-]*", re.MULTILINE), _break),
    (re.compile(r"^[ \t]*([-*_=])(?:[ \t]*\1){2,}[ \t]*$", re.MULTILINE), _break),  # a rule, or under a heading
    (re.compile(r"^[ \t]*\|[^\n]*\n[ \t]*\|?[ \t]*:?-[-:| \t]*$", re.MULTILINE), _break),  # the head of a table
    (re.compile(r"^[ \t]*\|(?P<cells>[^\n]*)", re.MULTILINE), _table_row),
    (re.compile(r"!\[[^\]\n]{0,200}\]\([^()\n]{0,500}\)"), _nothing),
    (re.compile(r"\[([^\[\]\n]{1,200})\]\([^()\s]{1,500}\)"), lambda match: (match.span(1),)),
    (re.compile(r"^[ \t]*>(?![ \t]*\d)[> \t]*", re.MULTILINE), lambda _: ("\n",)),
    (re.compile(r"^[ \t]*(?:[-+*•◦▪‣·–—]|\(?\d{1,2}[.)]|[a-z]\))[ \t]+(?=\S)", re.MULTILINE), _break),  # noqa: RUF001
    (re.compile(r"^[ \t]*#{1,6}[ \t]+(?P<line>[^\n]*)", re.MULTILINE), _heading_line),
    (re.compile(rf"^[ \t]*{_BOLD}(?P<line>[^*_\n]+){_BOLD}[ \t]*$", re.MULTILINE), _heading_line),
    (
        re.compile(
            rf"{_BOLD}(?P<name>[^*_\n:]{{2,60}})(?P<inside>:?){_BOLD}"
            r"(?P<outside>:?)(?P<next>(?=[ \t]*[-–—]?[ \t]*(?:[A-Z]|\n))|)[ \t]*"  # noqa: RUF001
        ),
        _bold_name,
    ),
    (re.compile(r"\\(?=[*_#.+!|>~-])"), _nothing),
    (re.compile(r"\*+"), _stars),
    (re.compile(r"(?<!\w)_{1,2}(?=[^\W_])|(?<=[^\s_])_{1,2}(?!\w)|`+|~~"), _nothing),
)
"""What is replaced, in this order, and by what."""
