"""JSON from outside: repeated keys and deep nesting."""

from __future__ import annotations

import time

import pytest

from report_gen.strict_json import parse_json


def test_a_repeated_key_is_named_whatever_the_number_of_keys() -> None:
    text = "{" + "".join(f'"k{number}": 1, ' for number in range(200_000)) + '"k199999": 2}'
    began = time.process_time()
    with pytest.raises(ValueError, match="the key 'k199999' occurs twice"):
        parse_json(text)
    assert time.process_time() - began < 5  # comparing each key with each would take an hour


def test_nesting_is_limited() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 100_000)
    assert parse_json('{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}
