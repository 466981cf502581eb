"""Drafts of models that answer a chat: what the model gets, and what becomes of its answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report_gen.backends import (
    BackendInfo,
    ChatRequest,
    GenerationError,
    ModelDescription,
    Reply,
    load_description,
)
from report_gen.drafting import Drafter, DraftRequest, PriorStudy, StudyLimits
from report_gen.drafting.chat_generator import ChatGenerator
from report_gen.errors import ScopeError, StudyError, StudyTimeoutError, UsageError
from report_gen.generation import Decoding
from report_gen.imaging import read_study
from report_gen.reading.plain_reports import empty_provenance
from report_gen.records import (
    FindingLocation,
    FindingState,
    Report,
    SectionName,
    Side,
    StudyTime,
    ViewPosition,
    parse_report,
)
from tests.builders import noise_image, study, write_png
from tests.dicom_files import write_dicom

REPORT = "FINDINGS: There is a small left pleural effusion. The heart is normal. IMPRESSION: Pleural effusion."


class FakeBackend:
    """Answers each chat with the next of fixed answers, and keeps the chats."""

    def __init__(self, *answers: Reply | str | GenerationError, remote: str = "") -> None:
        self.info = BackendInfo(model="fake", revision="abc", weights_sha256="", remote=remote)
        self.answers, self.chats = list(answers), list[ChatRequest]()
        self.calls = list[int]()

    def generate(
        self, chats: Sequence[ChatRequest], decoding: Decoding, check_time: Any
    ) -> Iterator[tuple[Reply, ...] | GenerationError]:
        self.calls.append(len(chats))
        for chat in chats:
            check_time()
            self.chats.append(chat)
            answers = [self.answers.pop(0) for _ in range(decoding.candidates)]
            if isinstance(answers[0], GenerationError):
                yield answers[0]
            else:
                yield tuple(Reply(text=one) if isinstance(one, str) else one for one in answers)  # type: ignore[misc]


def description(tmp_path: Path, text: str = "") -> ModelDescription:
    path = tmp_path / "model.toml"
    path.write_text(f'name = "Fake"\nbackend = "image-text"\nmodel = "fake/fake"\n{text}')
    return load_description(path)


def drafter_of(backend: FakeBackend, model: ModelDescription) -> Drafter:
    return Drafter(ChatGenerator(model, backend))


def draft(tmp_path: Path, *answers: Reply | str | GenerationError, text: str = "", **options: Any) -> Report:
    return drafter_of(FakeBackend(*answers), description(tmp_path, text)).draft(study(tmp_path), **options)


def test_a_draft_has_the_sections_and_findings_of_the_answer(tmp_path: Path) -> None:
    report = draft(tmp_path, REPORT)
    assert [(section.name, section.text) for section in report.sections] == [
        (SectionName.FINDINGS, "There is a small left pleural effusion. The heart is normal."),
        (SectionName.IMPRESSION, "Pleural effusion."),
    ]
    states = {finding.name: finding.state for finding in report.findings}
    assert states["Pleural Effusion"] is FindingState.PRESENT
    assert states["Cardiomegaly"] is FindingState.ABSENT
    (effusion,) = [finding for finding in report.findings if finding.name == "Pleural Effusion"]
    assert effusion.location == FindingLocation(Side.LEFT)
    assert report.provenance.confidence == "token probability"  # there is none: the sentences have no confidence
    assert states["No Finding"] is FindingState.ABSENT
    assert all(finding.from_text and finding.probability is None for finding in report.findings)
    assert report.provenance.model_name == "Fake"
    assert (report.provenance.model_revision, report.provenance.endpoint) == ("abc", "")


def test_the_model_gets_the_pixels_in_gray_and_the_prompt_with_its_values(tmp_path: Path) -> None:
    backend = FakeBackend(REPORT)
    pixels = noise_image(3)
    request = DraftRequest(read_study(write_png(tmp_path / "a.png", pixels)), indication="Fever.", technique="Upright.")
    drafter_of(backend, description(tmp_path)).draft(request)
    *_, message = backend.chats[0].messages
    (image,) = message.images
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, np.repeat(pixels[..., None], 3, axis=2))
    assert "Indication: Fever." in message.text
    assert "Technique: Upright." in message.text
    assert "Comparison" not in message.text


def test_a_large_image_is_reduced_to_the_size_of_the_description(tmp_path: Path) -> None:
    backend = FakeBackend(REPORT)
    path = write_png(tmp_path / "a.png", np.tile(np.arange(200, dtype=np.uint8), (100, 1)))
    drafter_of(backend, description(tmp_path, "[images]\nsize = 50")).draft(read_study(path))
    (image,) = backend.chats[0].messages[-1].images
    assert image.shape == (25, 50, 3)
    # Each pixel is about the mean of four columns: 4 k + 1.5.
    assert abs(int(image[10, 20, 0]) - 81.5) <= 1


def test_the_seed_follows_from_pixels_and_the_seed_of_the_user(tmp_path: Path) -> None:
    def seed(name: str, number: int, chosen: int) -> int:
        backend = FakeBackend(REPORT)
        one = read_study(write_png(tmp_path / name, noise_image(number)))
        drafter_of(backend, description(tmp_path)).draft(one, decoding=Decoding(seed=chosen))
        return backend.chats[0].seed

    assert seed("a.png", 0, 0) == seed("b.png", 0, 0)
    assert len({seed("a.png", 0, 0), seed("a.png", 0, 1), seed("c.png", 1, 0)}) == 3


def test_a_refusal_and_a_failed_answer_are_errors_of_their_studies(tmp_path: Path) -> None:
    backend = FakeBackend("I'm sorry, but I can't help with that.", GenerationError("the server is busy; wait"), REPORT)
    studies = [study(tmp_path, seed) for seed in range(3)]
    refused, failed, report = drafter_of(backend, description(tmp_path)).draft_all(studies)
    assert isinstance(refused, StudyError)
    assert "study-0.png: the model refused to write a report" in str(refused)
    assert isinstance(failed, StudyError)
    assert str(failed).endswith("study-1.png: the server is busy; wait")
    assert isinstance(report, Report)


def test_of_several_answers_the_one_that_agrees_most_is_kept(tmp_path: Path) -> None:
    other = "FINDINGS: There is a fracture of a rib."
    report = draft(tmp_path, other, REPORT, REPORT, decoding=Decoding(method="sample", candidates=3))
    assert report.sections[-1].text == "Pleural effusion."
    # "Pleural effusion." is in one of the two others word by word, and shares no word with the other one.
    (sentence,) = report.sections[-1].sentences
    assert sentence.confidence == pytest.approx(0.5)
    assert report.provenance.confidence == "agreement"


def test_token_probabilities_have_precedence_over_agreement(tmp_path: Path) -> None:
    text = "FINDINGS: Clear lungs."
    reply = Reply(text=text, token_ends=(9, len(text)), probabilities=(1.0, 0.25))
    report = draft(tmp_path, reply, reply, decoding=Decoding(method="sample", candidates=2))
    assert report.sections[0].sentences[0].confidence == pytest.approx(0.25)
    assert report.provenance.confidence == "token probability"


def test_answers_that_are_no_reports_are_counted(tmp_path: Path) -> None:
    refusal = "I'm sorry, but I can't help with that."
    report = draft(tmp_path, refusal, REPORT, decoding=Decoding(method="sample", candidates=2))
    assert "1 of 2 replies of the model left out: no report" in report.notices


def test_a_study_outside_the_scope_is_refused_unless_it_is_forced(tmp_path: Path) -> None:
    text = '[scope]\nviews = ["PA"]'
    lateral = study(tmp_path).with_view(ViewPosition.LATERAL)
    drafter = drafter_of(FakeBackend(REPORT), description(tmp_path, text))
    (refused,) = drafter.draft_all([lateral])
    assert isinstance(refused, ScopeError)
    (forced,) = drafter.draft_all([lateral], force=True)
    assert isinstance(forced, Report)
    assert forced.forced_notices


def test_a_blank_image_is_not_given_to_the_model(tmp_path: Path) -> None:
    backend = FakeBackend()
    path = write_png(tmp_path / "blank.png", np.zeros((32, 32), np.uint8))
    report = drafter_of(backend, description(tmp_path)).draft(read_study(path))
    assert not backend.chats
    assert report.sections[-1].text == "Nondiagnostic image."


def test_a_blank_image_is_sent_nowhere_and_its_draft_does_not_say_so(tmp_path: Path) -> None:
    path = write_png(tmp_path / "blank.png", np.zeros((32, 32), np.uint8))
    report = drafter_of(FakeBackend(remote="gpu.example.org"), description(tmp_path)).draft(read_study(path))
    assert report.provenance.endpoint == ""
    assert not any("sent" in notice for notice in report.notices)
    assert {finding.state for finding in report.findings} == {FindingState.UNKNOWN}
    assert report.findings_from_text


def test_the_control_blank_gives_the_model_gray_images(tmp_path: Path) -> None:
    backend = FakeBackend(REPORT)
    list(drafter_of(backend, description(tmp_path)).draft_all([study(tmp_path)], blank=True))
    (image,) = backend.chats[0].messages[-1].images
    assert np.unique(image).tolist() == [127]


def test_more_images_than_the_model_takes_are_left_out_with_a_notice(tmp_path: Path) -> None:
    backend = FakeBackend(REPORT)
    for number in range(3):
        write_png(tmp_path / "study" / f"{number}.png", noise_image(number))
    found = read_study(tmp_path / "study")
    report = drafter_of(backend, description(tmp_path, "[images]\nmax_images = 2")).draft(found)
    assert len(backend.chats[0].messages[-1].images) == 2
    assert "1 of 3 images left out: the model takes 2" in report.notices


def test_findings_and_attributes_of_the_reader_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes no findings"):
        draft(tmp_path, REPORT, overrides={"Edema": FindingState.PRESENT})
    with pytest.raises(UsageError, match="takes no findings"):
        draft(tmp_path, REPORT, attributes={"modality": "CT"})


def test_a_comparison_without_a_prior_study_is_removed(tmp_path: Path) -> None:
    report = draft(tmp_path, "FINDINGS: The heart is normal. The pleural effusion is unchanged since the prior study.")
    assert report.describing_sections[0].text == "The heart is normal."
    assert any("comparison with an earlier study has no support" in notice for notice in report.notices)


def test_the_report_of_the_prior_study_is_in_the_prompt_and_its_comparisons_stay(tmp_path: Path) -> None:
    backend = FakeBackend("FINDINGS: The pleural effusion is unchanged since the prior study.")
    sections = parse_report("FINDINGS: Small pleural effusion.")
    earlier = Report(sections=sections, findings=(), notices=(), provenance=empty_provenance())
    prior = PriorStudy(study(tmp_path, 1), report=earlier, days_earlier=4)
    report = drafter_of(backend, description(tmp_path)).draft(DraftRequest(study(tmp_path), priors=(prior,)))
    assert "Report of the earlier study: Small pleural effusion." in backend.chats[0].messages[-1].text
    assert report.describing_sections[0].text == "The pleural effusion is unchanged since the prior study."
    assert "comparisons with the prior study follow its report; no image of it was compared" in report.notices


def test_a_prior_study_without_a_report_is_not_compared(tmp_path: Path) -> None:
    prior = PriorStudy(study(tmp_path, 1), days_earlier=4)
    report = drafter_of(FakeBackend(REPORT), description(tmp_path)).draft(
        DraftRequest(study(tmp_path), priors=(prior,))
    )
    assert "the prior study is not compared: the model gets neither its images nor its report" in report.notices


def test_the_time_of_a_study_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(0, 10_000, 10))
    monkeypatch.setattr("report_gen.drafting.limits.monotonic", lambda: float(next(times)))
    drafter = drafter_of(FakeBackend(REPORT), description(tmp_path))
    (error,) = drafter.draft_all([study(tmp_path)], limits=StudyLimits(seconds=5))
    assert isinstance(error, StudyTimeoutError)


def test_an_endpoint_gets_as_many_studies_as_it_answers_at_once(tmp_path: Path) -> None:
    text = 'url = "http://127.0.0.1:8000/v1"\nconcurrency = 2'
    path = tmp_path / "model.toml"
    path.write_text(f'name = "Fake"\nbackend = "endpoint"\nmodel = "fake"\n{text}')
    backend = FakeBackend(*[REPORT] * 3)
    list(drafter_of(backend, load_description(path)).draft_all([study(tmp_path, seed) for seed in range(3)]))
    assert backend.calls == [2, 1]


def test_every_draft_says_that_images_left_the_computer(tmp_path: Path) -> None:
    backend = FakeBackend(REPORT, remote="gpu.example.org")
    report = drafter_of(backend, description(tmp_path)).draft(study(tmp_path))
    assert report.notices[0] == "images and prompt were sent to another computer: gpu.example.org"
    assert report.provenance.endpoint == "gpu.example.org"


def test_a_text_cut_at_its_limit_has_a_notice(tmp_path: Path) -> None:
    report = draft(
        tmp_path,
        Reply(text="FINDINGS: The heart is normal. There is a small", ended=False),
        text="[decoding]\nmax_tokens = 7",
    )
    assert "the text is incomplete: it was cut at 7 tokens; complete it by hand" in report.notices


def test_a_dated_prior_is_named_in_the_section_comparison(tmp_path: Path) -> None:
    today, earlier = study(tmp_path), study(tmp_path, 1)
    today = replace(today, study_time=StudyTime(date(2026, 5, 9)))
    earlier = replace(earlier, study_time=StudyTime(date(2026, 5, 2)))
    report = drafter_of(FakeBackend(REPORT), description(tmp_path)).draft(
        DraftRequest(today, priors=(PriorStudy(earlier),))
    )
    (section,) = [one for one in report.sections if one.name is SectionName.COMPARISON]
    assert section.text.endswith("7 days earlier.")


def test_the_prompt_has_no_name_of_the_patient(tmp_path: Path) -> None:
    backend = FakeBackend(REPORT)
    path = write_dicom(
        tmp_path / "a.dcm",
        noise_image(),
        PatientName="Doe^Jane",
        PatientID="99887",
        ReasonForStudy="Jane Doe (99887): cough",
    )
    report = drafter_of(backend, description(tmp_path)).draft(read_study(path))
    text = backend.chats[0].messages[-1].text
    assert "cough" in text
    assert not any(word in text for word in ("Jane", "Doe", "99887"))
    assert "names and numbers of the patient were removed from the prompt" in report.notices
