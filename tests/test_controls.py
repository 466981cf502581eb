"""Control characters: which are found, and how they are escaped, replaced and cut."""

from __future__ import annotations

import json
import sys
import unicodedata

from report_gen.controls import escape_controls, replace_controls, shorten


def test_every_control_format_surrogate_and_separator_character_is_found() -> None:
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        category, found = unicodedata.category(character), replace_controls(character, "") == ""
        if category in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            assert found, hex(number)
        else:
            # Ranges that later versions of Unicode fill with format characters are included.
            assert not found or category == "Cn", hex(number)


def test_an_escaped_document_has_the_same_meaning() -> None:
    value = "\x1b]0;title\x07 \x9b31m \r\n\t \u200e\u200f\u202e\u2066\u2069 \u2028 \udce9 \U000e0041 \0"
    for keep in ("\n\t", ""):
        escaped = escape_controls(json.dumps(value, ensure_ascii=False), keep=keep)
        assert json.loads(escaped) == value
        assert escaped.isprintable()


def test_a_value_in_a_message_is_one_short_line() -> None:
    assert shorten("CT", 16) == "CT"
    assert shorten("a\x1b[31m\n b\u202e", 16) == "a [31m b"
    assert shorten("0123456789", 8) == "01234567..."
    assert shorten("\n" * 100 + "end", 8) == "..."
    assert len(shorten("x" * 10**7, 64)) == 67
