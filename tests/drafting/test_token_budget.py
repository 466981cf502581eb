"""The positions of the decoder are divided per study: the report first, then technique and indication."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from report_gen.drafting import Drafter
from report_gen.drafting.token_budget import FittedPrompt, fit_prompt
from report_gen.errors import StudyError
from report_gen.generation import Decoding
from report_gen.outputs import format_json
from report_gen.prompting import LONGEST_VALUE, Prompt, PromptValues, render
from report_gen.records import Report, Study
from tests.builders import PROMPT, THRESHOLDS, study, tiny_checkpoint, tiny_config, tokenizer

LONG = "Fever and cough for three weeks, left chest pain, known small effusion of the right lung. " * 3
CAPITALS = "FEVERANDCOUGH" * 40


def fit(
    indication: str = "", technique: str = "", *, free: int, wanted: int = 20, prompt: Prompt = PROMPT
) -> FittedPrompt:
    fitted = fit_prompt(
        prompt,
        tokenizer(),
        PromptValues(indication=indication, views="PA", technique=technique),
        free_positions=free,
        max_report_tokens=wanted,
    )
    assert fitted is not None
    return fitted


def tokens(indication: str) -> int:
    return len(tokenizer().encode(render(PROMPT, PromptValues(indication=indication, views="PA"))))


def test_a_prompt_that_fits_is_not_changed() -> None:
    fitted = fit("Cough.", free=100)
    assert fitted == FittedPrompt(tokenizer().encode("Chest.\nPA\nCough."), 20, (), {"indication": "Cough."})


def test_the_indication_gets_what_the_report_leaves() -> None:
    """One more word of it would exceed the limit."""
    fitted = fit(LONG, free=60)
    assert fitted.max_report_tokens == 20
    assert len(fitted.token_ids) <= 40
    (used,) = (text for text in [tokenizer().decode(fitted.token_ids).removeprefix("Chest. PA ")] if text)
    assert LONG.startswith(f"{used} ")
    longer = f"{used} {LONG.removeprefix(used).split()[0]}"
    assert tokens(longer) > 40
    assert fitted.notices == (f"the indication is too long: the model got only its first {len(used)} characters",)


def test_the_prompt_alone_may_leave_a_shorter_report() -> None:
    bare = tokens("")
    fitted = fit(LONG, free=bare + 3)
    assert (fitted.max_report_tokens, len(fitted.token_ids)) == (3, bare)
    assert fitted.notices == ("the indication is too long: the model got only its first 0 characters",)


def test_a_prompt_without_positions_for_a_report_is_refused() -> None:
    prompt = fit_prompt(PROMPT, tokenizer(), PromptValues(views="PA"), free_positions=tokens(""), max_report_tokens=20)
    assert prompt is None


def test_a_single_word_is_cut_within_itself() -> None:
    fitted = fit(CAPITALS, free=60)
    used = tokenizer().decode(fitted.token_ids).removeprefix("Chest. PA ")
    assert used
    assert CAPITALS.startswith(used)
    assert len(fitted.token_ids) <= 40


def test_the_longest_value_of_a_prompt_is_cut_with_a_notice() -> None:
    """Values have at most 300 characters, as in training, whatever positions are free."""
    (notice,) = fit(CAPITALS, free=100_000).notices
    assert notice == f"the indication is too long: the model got only its first {LONGEST_VALUE} characters"


@pytest.mark.parametrize("given", ["XXXX " * 620, "\U0001f637" * 3_000, "X" * 10_000_000, "[**Name**]", " ... "])
def test_a_value_without_usable_words_is_left_out_with_a_notice(given: str) -> None:
    fitted = fit(given, free=100)
    assert fitted.token_ids == fit("", free=100).token_ids
    assert fitted.notices == ("the indication was left out: no words that the model can use were found in it",)


def test_a_question_after_many_marks_is_used() -> None:
    assert fit("XXXX " * 620 + "Cough?", free=100) == fit("Cough?", free=100)


def test_a_value_that_is_not_read_to_its_end_has_a_notice() -> None:
    assert fit("Cough." + " " * 2**18 + "Fever?", free=100).notices == (
        "the indication is too long: the model got only its first 6 characters",
    )
    assert fit("", free=100).notices == fit("  ", free=100).notices == ()


def test_the_technique_precedes_the_indication() -> None:
    prompt = Prompt("{technique}\n{indication}")
    fitted = fit("Cough. " * 10, "Portable.", free=45, prompt=prompt)
    assert tokenizer().decode(fitted.token_ids).startswith("Portable. Cough.")
    assert [notice.split(" is ")[0] for notice in fitted.notices] == ["the indication"]


def test_the_prior_report_is_shortened_first() -> None:
    prompt = Prompt("{prior_report}\n{study_description}\n{admitting_diagnoses}\n{comparison}\n{indication}")
    values = PromptValues(
        indication="Cough.",
        comparison="Chest, 3 days earlier.",
        study_description="Chest.",
        admitting_diagnoses="Fever.",
        prior_report="The heart is enlarged. No pleural effusion. " * 3,
    )

    def fitted(free: int) -> FittedPrompt:
        found = fit_prompt(prompt, tokenizer(), values, free_positions=free, max_report_tokens=10)
        assert found is not None
        return found

    assert fitted(200).notices == ()
    lines = [line for line in render(prompt, values).splitlines() if not line.startswith("The heart")]
    others = len(tokenizer().encode("\n".join(lines)))
    for free in (others + 20, others + 10):
        (notice,) = fitted(free).notices
        assert notice.startswith("the report of the prior study is too long: the model got only its first ")
        assert tokenizer().decode(fitted(free).token_ids).endswith(" ".join(lines))
    assert [notice.split(" is ")[0] for notice in fitted(others + 8).notices] == [
        "the list of admitting diagnoses",
        "the report of the prior study",
    ]


def test_a_value_that_the_prompt_does_not_use_needs_no_notice() -> None:
    assert fit(LONG, LONG, free=60, prompt=Prompt("Chest. {views}")).notices == ()


@given(st.text(max_size=400), st.text(max_size=400), st.integers(30, 200), st.integers(1, 200))
def test_a_prompt_always_fits(indication: str, technique: str, free: int, wanted: int) -> None:
    fitted = fit(indication, technique, free=free, wanted=wanted, prompt=Prompt("{views} {technique}\n{indication}"))
    assert len(fitted.token_ids) + fitted.max_report_tokens <= free
    assert 1 <= fitted.max_report_tokens <= wanted


DECODINGS = (
    Decoding(max_tokens=30),
    Decoding(max_tokens=30, method="beam", candidates=2),
    Decoding(max_tokens=30, method="sample", candidates=2, seed=3),
)
INDICATIONS = ("", "Cough.", LONG, CAPITALS, "Fever and cough for three weeks.", "X" * 5_000)


@pytest.fixture(scope="module")
def drafter() -> Drafter:
    """A drafter whose decoder has too few positions for the long indications: 128, of which 19 are visual tokens."""
    return Drafter.from_checkpoint(tiny_checkpoint(tiny_config(findings={"present": THRESHOLDS})))


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[Study]:
    folder = tmp_path_factory.mktemp("studies")
    return [replace(study(folder, seed), indication=text) for seed, text in enumerate(INDICATIONS)]


@pytest.fixture(scope="module")
def alone(drafter: Drafter, studies: list[Study]) -> list[list[str]]:
    """[decoding][study]: the draft of each study on its own."""
    return [[document(drafter.draft(one, decoding=decoding)) for one in studies] for decoding in DECODINGS]


def document(report: Report | StudyError) -> str:
    """Return the JSON document without the time of the draft."""
    assert isinstance(report, Report)
    return format_json(replace(report, provenance=replace(report.provenance, created="")))


def text(report: Report | StudyError) -> tuple[str, ...]:
    assert isinstance(report, Report)
    return (*(section.text for section in report.sections), *report.notices)


@settings(max_examples=6)
@given(st.lists(st.integers(0, len(INDICATIONS) - 1), min_size=1, max_size=6), st.sampled_from(range(len(DECODINGS))))
def test_every_draft_is_the_draft_of_the_study_alone(
    drafter: Drafter, studies: list[Study], alone: list[list[str]], order: list[int], decoding: int
) -> None:
    """In any composition and order, to the last digit."""
    drafts = drafter.draft_all([studies[index] for index in order], decoding=DECODINGS[decoding])
    assert [document(draft) for draft in drafts] == [alone[decoding][index] for index in order]


@settings(max_examples=4)
@given(st.permutations(range(len(INDICATIONS))), st.integers(2, 6), st.sampled_from(range(len(DECODINGS))))
def test_larger_batches_give_the_same_texts(
    drafter: Drafter, studies: list[Study], order: list[int], batch_size: int, decoding: int
) -> None:
    drafts = drafter.draft_all([studies[index] for index in order], decoding=DECODINGS[decoding], batch_size=batch_size)
    expected = drafter.draft_all([studies[index] for index in order], decoding=DECODINGS[decoding])
    assert list(map(text, drafts)) == list(map(text, expected))


def test_threads_give_the_same_drafts(drafter: Drafter, studies: list[Study], alone: list[list[str]]) -> None:
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(drafter.draft, one, decoding=decoding) for decoding in DECODINGS for one in studies]
        assert [document(job.result()) for job in jobs] == [one for row in alone for one in row]


def test_a_long_indication_is_in_notice_and_provenance(drafter: Drafter, studies: list[Study]) -> None:
    report = drafter.draft(studies[2], decoding=DECODINGS[0])
    settings_of_text = report.provenance.decoding
    assert settings_of_text["prompt_shortened"] is True
    assert settings_of_text["max_tokens"] == 30
    assert 60 < int(settings_of_text["prompt_tokens"]) <= 128 - 19 - 1 - 30  # at most a word less than fits
    assert any(
        notice.startswith("the indication is too long: the model got only its first") for notice in report.notices
    )
    assert drafter.draft(studies[1], decoding=DECODINGS[0]).provenance.decoding["prompt_shortened"] is False


def test_too_many_images_for_the_decoder_cost_only_their_own_study(tmp_path: Path) -> None:
    """With 4 patches of each image as visual tokens, and one token for each finding, 12 images take 65 positions."""
    config = tiny_config(
        findings={"present": THRESHOLDS},
        projector={"patch_tokens": "all", "hidden": 16},
        decoder={"width": 32, "layers": 1, "heads": 2, "positions": 64},
    )
    checkpoint = tiny_checkpoint(config)
    few, many = study(tmp_path, 0), study(tmp_path, 1)
    images = many.images * 12
    many = replace(many, series=(replace(many.series[0], images=images),))
    first, refused, last = Drafter.from_checkpoint(checkpoint).draft_all(
        [few, many, few], decoding=Decoding(max_tokens=5), batch_size=3
    )
    assert isinstance(refused, StudyError)
    assert "take all 64 positions of the decoder and leave none for a report; give fewer images" in str(refused)
    assert text(first) == text(last)
