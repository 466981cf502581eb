"""Presets: the R2Gen protocol in detail, user presets, and invalid presets."""

from __future__ import annotations

from pathlib import Path

import pytest

from report_gen.errors import UsageError
from report_gen.metrics import load_preset
from report_gen.metrics.preset import preset_names


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("No effusion. Heart normal.", "no effusion . heart normal ."),
        ("No effusion", "no effusion ."),
        ("No effusion.. Heart normal....", "no effusion . heart normal ."),
        ("1. Clear lungs. 2. No effusion.", "clear lungs . no effusion ."),
        ("Clear lungs 2. No effusion.", "clear lungs . no effusion ."),
        ('Left-sided "port" at T8/T9; 1.5 cm (stable).', "left-sided port at t8t9 15 cm stable ."),
        ("A # $ ~ | b", "a # $ ~ | b ."),
        ("", "."),
        ("Clear. . Normal.", "clear . . normal ."),
    ],
)
def test_r2gen_cleaning_of_references(text: str, cleaned: str) -> None:
    assert load_preset("r2gen-iu").prepare_references([text], None) == [cleaned]


def test_r2gen_cleaning_leaves_cleaned_text_alone() -> None:
    preset = load_preset("r2gen-iu")
    once = preset.prepare_references(["Heart size normal. Lungs clear."], None)
    assert preset.prepare_references(once, None) == once
    assert preset.prepare_predictions(once) == once


def test_predictions_are_lowered_and_their_stops_set_apart_and_nothing_else() -> None:
    drafts = ["Lungs clear. T8/T9 intact", "a " * 80]
    assert load_preset("r2gen-iu").prepare_predictions(drafts) == ["lungs clear . t8/t9 intact", ("a " * 80).strip()]


def test_mimic_cleaning_joins_lines_and_gaps() -> None:
    text = "1. Seen on ___ by\nDr. ____.  No   effusion.."
    assert load_preset("r2gen-mimic").prepare_references([text], None) == ["seen on by dr . . no effusion ."]


def test_words_rarer_than_the_threshold_are_unknown_and_long_references_are_cut() -> None:
    preset = load_preset("r2gen-iu")
    known = preset.known_words(["clear clear", "clear", "rare rare"])
    assert known == {"clear", "."}
    assert preset.prepare_references(["Clear rare"], known) == ["clear <unk> ."]
    assert len(preset.prepare_references(["clear " * 100], known)[0].split()) == 59


def test_raw_changes_nothing_but_white_space() -> None:
    preset = load_preset("raw")
    assert preset.prepare_references(["No  Effusion.\n2. T8/T9"], None) == ["No Effusion. 2. T8/T9"]
    assert preset.known_words(["a"]) is None


def test_the_signature_distinguishes_presets(tmp_path: Path) -> None:
    signatures = {load_preset(name).signature(None, 590, "1") for name in preset_names()}
    assert len(signatures) == len(preset_names()) == 3
    preset = load_preset("r2gen-iu")
    assert preset.signature(frozenset(), 590, "1") != preset.signature(None, 590, "1")
    own = tmp_path / "own.toml"
    own.write_text("lowercase = true")
    before = load_preset(str(own)).signature(None, 590, "1")
    own.write_text("lowercase = true\n[truncation]\nwords = 10")
    assert load_preset(str(own)).signature(None, 590, "1") != before


def test_a_user_preset(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('lowercase = true\n[references]\nsteps = [{ find = "[0-9]+", put = "N", regex = true }]\n')
    assert load_preset(str(path)).prepare_references(["Seen 12 of 30"], None) == ["seen n of n"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("lowercase = ", "not a preset"),
        ("lower = true", "lower: Extra inputs"),
        ("[truncation]\nwords = 0", "truncation.words"),
        ('[references]\nsteps = [{ find = "(", put = "", regex = true }]', "not a preset"),
        ('[references]\nsteps = [{ find = "x", put = "\\\\1", regex = true }]', "invalid group reference 1"),
        ('[references]\nsteps = [{ find = "x", put = "\\\\g<a>", regex = true }]', "unknown group name 'a'"),
        (
            '[references]\nsteps = [{ find = "x{99999999999}", put = "", regex = true }]',
            "repetition number is too large",
        ),
        ('[references]\nsteps = [{ find = "x", put = "xx", times = 11 }]', "times: .* less than or equal to 10"),
        ("a = " + "[" * 5000, "recursion"),
        ("a = " + "1" * 5000, "4300 digits"),
    ],
)
def test_a_wrong_preset_is_refused_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(content)
    with pytest.raises(UsageError, match=message) as caught:
        load_preset(str(path))
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="r2gen-iu, r2gen-mimic, raw"):
        load_preset("r2gen")
    with pytest.raises(UsageError, match="cannot be read"):
        load_preset(str(tmp_path / "none.toml"))
