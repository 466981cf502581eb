"""`report-gen draft` in several formats: one draft, several files, which are complete or resumed together."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage

from report_gen import files as file_module
from report_gen.drafting import CheckpointSource, Drafter, DraftRequest
from report_gen.errors import OutputError, StudyError
from report_gen.imaging import read_study
from report_gen.outputs import DraftDocument, OutputFormat, extras, formats, get_format
from report_gen.outputs.versions import DocumentVersion
from report_gen.records import BANNER, Report, Study
from tests.builders import noise_image, write_png
from tests.cli.conftest import Command
from tests.cli.test_draft_resume import contents
from tests.dicom_files import write_dicom

BINARY = b"\x00BINARY"


def read_map_version(path: Path) -> DocumentVersion:
    """Return the number in the name of a file of the format `map`."""
    number = path.name.removesuffix(".map.bin").partition("-v")[2]
    return DocumentVersion(path.name.partition("-v")[0], int(number or 1))


@pytest.fixture
def documents(monkeypatch: pytest.MonkeyPatch) -> list[DraftDocument]:
    """The documents that the formats `page` (binary) and `map` (needs attention) get; `map` has versions."""
    rendered: list[DraftDocument] = []

    def render(document: DraftDocument) -> bytes:
        rendered.append(document)
        if document.study.name == "study-refused":
            raise StudyError(document.study.path, "the header has no UID")
        return BINARY + document.report.provenance.weights_sha256.encode()

    added = {
        "page": OutputFormat(
            name="page",
            suffix=".page.bin",
            media_type="application/pdf",
            summary="a page",
            render=render,
            options=("paper", "basic_text_sr", "fhir_version"),
        ),
        "map": OutputFormat(
            name="map",
            suffix=".map.bin",
            media_type="application/dicom",
            summary="a map",
            render=render,
            needs_attention=True,
            read_version=read_map_version,
        ),
    }
    monkeypatch.setattr(formats, "_FORMATS", {**formats._FORMATS, **added})
    return rendered


@pytest.fixture
def maps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the studies whose attention is computed."""
    names: list[str] = []
    attention_map = Drafter.attention_map

    def counted(self: Drafter, study: Study, **limits: Any) -> Any:
        names.append(study.name)
        return attention_map(self, study, **limits)

    monkeypatch.setattr(Drafter, "attention_map", counted)
    return names


@pytest.fixture
def drafted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the studies that reach the drafter."""
    names: list[str] = []
    draft_all = Drafter.draft_all

    def counted(self: Drafter, requests: list[DraftRequest], **options: Any) -> Iterator[Report | StudyError]:
        names.extend(request.study.name for request in requests)
        return draft_all(self, requests, **options)

    monkeypatch.setattr(Drafter, "draft_all", counted)
    return names


@pytest.fixture
def studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three studies."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    for number in range(3):
        write_png(tmp_path / "in" / f"study-{number}" / "chest.png", noise_image(number))
    return tmp_path / "in"


ALL = ("--format", "txt", "--format", "page", "--format", "map", "--format", "txt")


def names(*kinds: str) -> list[str]:
    return sorted(f"study-{number}{suffix}" for number in range(3) for suffix in kinds)


def test_pages_of_several_studies_are_not_printed_as_one(draft: Command, studies: Path, drafted: list[str]) -> None:
    answer = draft(studies, "--format", "html")
    assert (answer.code, answer.out, drafted) == (2, "", [])
    assert (
        "--format html: 3 documents cannot be printed one after the other; choose a folder with --output" in answer.err
    )


def test_one_draft_is_written_in_several_formats(
    draft: Command, studies: Path, tmp_path: Path, documents: list[DraftDocument], maps: list[str], drafted: list[str]
) -> None:
    answer = draft(studies, "-o", tmp_path / "out", *ALL, "--paper", "letter", "--fhir-version", "R5")
    assert answer.code == 0
    assert answer.err.endswith(f"notice: drafts written to {tmp_path / 'out'}: 3; studies refused: 0\n")
    assert sorted(contents(tmp_path / "out")) == names(".txt", ".page.bin", ".map.bin")
    assert drafted == maps == ["study-0", "study-1", "study-2"]
    page, attention_map = documents[:2]
    assert page.report is attention_map.report
    assert page.attention is not None
    assert (page.options.paper, page.options.fhir_version, page.options.basic_text_sr) == ("Letter", "R5", False)
    assert "tiny" in page.model_card.casefold() or page.model_card == "card"


def test_attention_is_computed_only_if_a_format_needs_it(
    draft: Command, studies: Path, tmp_path: Path, documents: list[DraftDocument], maps: list[str]
) -> None:
    assert draft(studies, "-o", tmp_path / "out", "--format", "page").code == 0
    assert (maps, documents[0].attention) == ([], None)
    assert draft(studies, "-o", tmp_path / "out", "--format", "page", "--format", "map", "--resume").code == 0
    assert maps == ["study-0", "study-1", "study-2"]


def test_a_study_is_resumed_until_all_its_files_are_there(
    draft: Command, studies: Path, tmp_path: Path, documents: list[DraftDocument], drafted: list[str]
) -> None:
    out = tmp_path / "out"
    draft(studies, "-o", out, *ALL)
    complete = contents(out)
    (out / "study-1.page.bin").unlink()
    before = {path: path.stat().st_mtime_ns for path in out.glob("study*")}
    drafted.clear()
    answer = draft(studies, "-o", out, *ALL, "--resume")
    assert answer.code == 0
    assert "notice: 2 of 3 studies were drafted before\n" in answer.err
    assert drafted == ["study-1"]
    assert contents(out) == complete
    assert {path: path.stat().st_mtime_ns for path in before} == before
    drafted.clear()
    assert draft(studies, "-o", out, "--format", "map", "--resume").code == 0
    assert drafted == []


@pytest.mark.parametrize("options", [("--paper", "Letter"), ("--basic-text-sr",), ("--fhir-version", "R5")])
def test_options_of_documents_write_them_again(
    draft: Command,
    studies: Path,
    tmp_path: Path,
    documents: list[DraftDocument],
    drafted: list[str],
    options: tuple[str, ...],
) -> None:
    one = studies / "study-0"
    draft(one, "-o", tmp_path / "out", "--format", "page")
    drafted.clear()
    draft(one, "-o", tmp_path / "out", "--format", "page", "--resume", *options)
    assert drafted == ["study-0"]


def test_a_format_that_fails_costs_its_own_file_only(
    draft: Command, studies: Path, tmp_path: Path, documents: list[DraftDocument]
) -> None:
    write_png(studies / "study-refused" / "chest.png", noise_image(7))
    answer = draft(studies, "-o", tmp_path / "out", "--format", "page", "--format", "txt")
    assert answer.code == 3
    error, summary = answer.err.splitlines()[-2:]
    assert error.endswith("chest.png: the header has no UID")
    assert summary.endswith(": 3; studies refused: 1")
    assert sorted(contents(tmp_path / "out")) == sorted([*names(".txt", ".page.bin"), "study-refused.txt"])


def test_a_header_without_uids_is_one_sentence_for_all_formats(draft: Command, tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", StudyInstanceUID="")
    formats_of_documents = ("--format", "dicom-sr", "--format", "fhir", "--format", "hl7", "--format", "txt")
    answer = draft(path, "--quiet", "-o", tmp_path / "out", *formats_of_documents)
    assert answer.code == 3
    assert answer.err == (
        f"report-gen: {path}: the header has no valid StudyInstanceUID, so no document can refer to the image; export "
        "it from the archive again, or choose --format txt or json\n"
    )
    assert sorted(contents(tmp_path / "out")) == ["a.txt"]
    answer = draft(path, "-o", tmp_path / "out", "--overwrite", *formats_of_documents)
    assert answer.err.endswith(
        f"notice: drafts written to {tmp_path / 'out'}: 0; files of incomplete drafts: 1; studies refused: 1\n"
    )


def test_a_disk_that_is_full_at_the_third_file(
    draft: Command, studies: Path, tmp_path: Path, documents: list[DraftDocument], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third of six files cannot be written. Afterwards only this file is missing, and --resume writes it."""
    write, calls = file_module._write, []

    def full(path: Path, pieces: Any, *, replace: bool = True) -> None:
        calls.append(path.name)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, pieces, replace=replace)

    command = (studies, "-o", tmp_path / "out", "--format", "txt", "--format", "page")
    with monkeypatch.context() as patch:
        patch.setattr(file_module, "_write", full)
        answer = draft(*command)
    assert answer.code == 5
    assert f"{tmp_path / 'out' / 'study-1.txt'}: cannot be written (No space left on device); free disk" in answer.err
    assert answer.err.endswith(": 2; studies refused: 1\n")
    assert sorted(contents(tmp_path / "out")) == [name for name in names(".txt", ".page.bin") if name != "study-1.txt"]
    assert draft(*command, "--resume").code == 0
    assert sorted(contents(tmp_path / "out")) == names(".txt", ".page.bin")


def test_an_edited_file_is_replaced_on_request_and_named(
    draft: Command, studies: Path, tmp_path: Path, documents: list[DraftDocument]
) -> None:
    out = tmp_path / "out"
    (out).mkdir()
    (out / "study-2.page.bin").write_text("mine")
    command = (studies, "-o", out, "--format", "txt", "--format", "page")
    draft(*command)
    first = contents(out)
    (out / "study-1.txt").write_text("signed")
    answer = draft(*command, "--seed", 1)
    assert answer.code == 3
    assert f"{out / 'study-1.txt'}: was edited, so it is kept; move it away, choose another folder, or" in answer.err
    answer = draft(*command, "--overwrite")
    assert answer.code == 3
    assert f"notice: {out / 'study-1.txt'}: was edited, and is replaced (--overwrite)\n" in answer.err
    assert f"{out / 'study-2.page.bin'}: is not a draft of this study, so it is kept" in answer.err
    assert contents(out) == first
    assert first["study-2.page.bin"] == b"mine"


def test_resume_with_overwrite_writes_edited_files_again(draft: Command, studies: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    draft(studies, "-o", out)
    first = contents(out)
    (out / "study-1.txt").write_text("signed")
    answer = draft(studies, "-o", out, "--resume", "--overwrite")
    assert (answer.code, contents(out)) == (0, first)
    assert "2 of 3 studies were drafted before" in answer.err


def test_a_version_is_written_beside_the_earlier_document(
    draft: Command, studies: Path, tmp_path: Path, documents: list[DraftDocument]
) -> None:
    out, one = tmp_path / "out", studies / "study-0"
    draft(one, "-o", out, "--format", "map")
    earlier = out / "study-0.map.bin"
    earlier.write_bytes(earlier.read_bytes() + b"edited")
    before = earlier.read_bytes()
    second = out / "study-0-v2.map.bin"
    for revised in (earlier, second):
        answer = draft(one, "-o", out, "--revises", revised, "--finding", "Edema=present")
        assert (answer.code, documents[-1].revises) == (0, revised)
    assert sorted(contents(out)) == ["study-0-v2.map.bin", "study-0-v3.map.bin", "study-0.map.bin"]
    assert earlier.read_bytes() == before


def test_a_name_shows_the_order_of_versions(
    draft: Command, studies: Path, tmp_path: Path, documents: list[DraftDocument]
) -> None:
    """`score` takes the version with the largest number; the user has moved the second one away."""
    out = tmp_path / "out"
    out.mkdir()
    for name in ("study-0.map.bin", "study-0-v3.map.bin", "study-0-v9.txt", "study-01-v9.map.bin"):
        (out / name).write_bytes(BINARY)
    assert draft(studies / "study-0", "-o", out, "--revises", out / "study-0-v3.map.bin").code == 0
    assert "study-0-v4.map.bin" in contents(out)


def test_a_version_that_was_replaced_is_not_replaced_again(draft: Command, tmp_path: Path, drafted: list[str]) -> None:
    """Both would have one number in one series, of which viewers show the last instance."""
    pixels = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    study, out = write_dicom(tmp_path / "chest.dcm", pixels), tmp_path / "out"
    assert draft(study, "-o", out, "--format", "dicom-sr").code == 0
    first = out / "chest.sr.dcm"
    assert draft(study, "-o", out, "--revises", first, "--finding", "Edema=present").code == 0
    drafted.clear()
    answer = draft(study, "-o", out, "--revises", first, "--finding", "Edema=absent")
    second = out / "chest-v2.sr.dcm"
    assert (answer.code, drafted) == (3, [])
    assert answer.err == (
        f"report-gen: {first}: was already replaced by the newer version {second}; name that file with --revises, or "
        f"move it away\nreport-gen: notice: nothing was written to {out}; studies refused: 1\n"
    )
    assert draft(study, "-o", out, "--revises", second, "--finding", "Edema=absent").code == 0
    paths = (first, second, out / "chest-v3.sr.dcm")
    assert [dcmread(path).InstanceNumber for path in paths] == [1, 2, 3]
    assert len({dcmread(path).SeriesInstanceUID for path in paths}) == 3


def test_a_file_that_is_no_draft_is_refused_before_the_model_is_loaded(
    draft: Command, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.sr.dcm").write_bytes(b"x" * 200)
    monkeypatch.setattr(CheckpointSource, "load", lambda *_, **__: pytest.fail("the model is loaded"))
    answer = draft(studies / "study-0", "-o", tmp_path / "out", "--revises", tmp_path / "a.sr.dcm")
    assert answer.code == 3
    assert "a.sr.dcm: not a DICOM file; give a DICOM draft of report-gen" in answer.err


def test_a_draft_that_cannot_be_printed_costs_only_itself(
    draft: Command, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render = get_format("txt").render

    def refuse(document: DraftDocument) -> bytes:
        if document.study.name == "study-1":
            raise OutputError("the document is not valid; report the fault")
        return render(document)

    text = replace(get_format("txt"), render=refuse)
    monkeypatch.setattr(formats, "_FORMATS", {**formats._FORMATS, "txt": text})
    answer = draft(studies)
    assert answer.code == 5
    assert answer.err.endswith("report-gen: the document is not valid; report the fault\n")
    assert ["=== study-0 ===" in answer.out, "=== study-1 ===" in answer.out, "=== study-2 ===" in answer.out] == [
        True,
        False,
        True,
    ]


def test_a_drawing_that_cannot_be_written_is_refused_before_a_draft(
    draft: Command, studies: Path, tmp_path: Path, documents: list[DraftDocument]
) -> None:
    path = write_png(studies / "study-0" / "chest.png", noise_image(7))
    (tmp_path / "where.png").mkdir()
    answer = draft(path.parent, "-o", tmp_path / "out", "--format", "page", "--attention", tmp_path / "where.png")
    assert answer.code == 5
    assert f"{tmp_path / 'where.png'}: cannot be written, because it is a folder" in answer.err
    assert not documents
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--format", "page"], 2, "--format page cannot be printed; choose a folder with --output"),
        (["--format", "txt", "--format", "json"], 2, "several formats: files need a folder; name the folder with"),
        (["--overwrite"], 2, "--overwrite: files need a folder"),
        (["--format", "word"], 2, "unknown output format 'word'; choose from txt, json"),
        (["--paper", "A3"], 2, "paper"),
        (["--revises", "{map}", "-o", "out", "--resume"], 2, "leave --resume out"),
        (["--revises", "{map}", "-o", "out", "--overwrite"], 2, "leave --overwrite out"),
        (["--revises", "{map}", "-o", "out", "--format", "txt"], 2, "has the format of this file; leave --format out"),
        (["--revises", "{map}"], 2, "--format map cannot be printed"),
        (["--revises", "{txt}", "-o", "out"], 2, "documents of the format txt cannot state which earlier document"),
        (["--revises", "{odd}", "-o", "out"], 2, "its name has no suffix of a format; name the format with --format"),
        (["--revises", "absent.map.bin", "-o", "out"], 3, "absent.map.bin: does not exist or is not a file"),
        (["--patient-id", "A\\B"], 2, "--patient-id: use 1 to 64 characters, without backslash"),
        (["--patient-id", "x" * 65], 2, "--patient-id: use 1 to 64 characters"),
        (["--accession", "x" * 17], 2, "--accession: use 1 to 16 characters"),
        (["--accession", "a\nb"], 2, "--accession: use 1 to 16 characters"),
    ],
)
def test_options_that_do_not_fit_together(
    draft: Command,
    studies: Path,
    tmp_path: Path,
    documents: list[DraftDocument],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"map": "a.map.bin", "txt": "a.txt", "odd": "IM0001"}
    for name in files.values():
        Path(name).write_bytes(BINARY)
    answer = draft(studies / "study-0", *(option.format(**files) for option in options))
    assert (answer.code, answer.out) == (code, "")
    assert message in answer.err
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("name", "library"), [(name, library) for name in formats.format_names() for library in get_format(name).libraries]
)
def test_a_missing_library_is_found_before_a_study_is_read(
    report_gen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    answer = report_gen("draft", tmp_path / "absent", "-o", tmp_path / "out", "--format", name)
    assert answer.code == 2
    assert f"the format {name} needs the library {library}, which is not installed; install it with" in answer.err
    assert 'pip install "report-gen[clinical]"' in answer.err


@pytest.mark.parametrize("name", ["pdf", "dicom-pdf", "fhir"])
def test_a_missing_system_library_is_found_before_the_model_is_loaded(
    draft: Command, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("cannot load library 'libpango-1.0-0'")

    monkeypatch.setattr(extras, "import_module", refuse)
    monkeypatch.setattr(CheckpointSource, "load", lambda *_, **__: pytest.fail("the model is loaded"))
    answer = draft(studies / "study-0", "-o", tmp_path / "out", "--format", name)
    assert answer.code == 2
    assert f"the format {name} needs the system library Pango, which cannot be loaded; install it" in answer.err


def test_options_of_one_study(draft: Command, studies: Path, tmp_path: Path, documents: list[DraftDocument]) -> None:
    earlier = tmp_path / "a.map.bin"
    earlier.write_bytes(BINARY)
    for option, value in (("--patient-id", "MRN-1"), ("--accession", "A1"), ("--revises", earlier)):
        answer = draft(studies, "-o", tmp_path / "out", option, value)
        assert answer.code == 2
        assert f"{option} is for one study, and there are 3; draft them one by one" in answer.err
        assert "MRN-1" not in answer.err
    answer = draft(studies / "study-0", "-o", tmp_path / "out", "--format", "page", "--patient-id", "MRN-1")
    assert answer.code == 0
    assert documents[-1].source.attributes.PatientID == "MRN-1"
    pixels = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    dicom = write_dicom(tmp_path / "a.dcm", pixels)
    answer = draft(dicom, "--patient-id", "MRN-1")
    assert answer.code == 2
    assert "--patient-id: the study has a DICOM header, which is never overridden; leave the option out" in answer.err


def test_the_attention_of_a_black_image(draft: Command, tmp_path: Path, documents: list[DraftDocument]) -> None:
    image = write_png(tmp_path / "black.png", np.zeros_like(noise_image(0)))
    answer = draft(image, "-o", tmp_path / "out", "--format", "map")
    assert (answer.code, sorted(contents(tmp_path / "out"))) == (0, ["black.map.bin"]), answer.err


def test_the_help_lists_every_format_with_its_summary(report_gen: Command) -> None:
    text = " ".join(report_gen("draft", "--help").out.split())
    for output_format in formats._FORMATS.values():
        assert f"{output_format.name}: {output_format.summary}" in text


def test_a_printed_draft_begins_with_the_banner(draft: Command, studies: Path) -> None:
    answer = draft(studies / "study-0", "--format", "txt", "--format", "txt")
    assert (answer.code, answer.out.startswith(BANNER)) == (0, True)


def test_the_key_image_of_a_draft_is_no_image_of_its_study(draft: Command, tmp_path: Path) -> None:
    """It has the Study Instance UID of the radiograph, beside which a folder or an archive gives it back."""
    pytest.importorskip("highdicom", reason="the extra clinical is not installed")
    write_dicom(tmp_path / "chest.dcm", noise_image().astype(np.uint16))
    arguments = (tmp_path, "-o", tmp_path, "--format", "dicom-sc", "--format", "json")
    assert draft(*arguments).code == 0
    (key_image,) = tmp_path.glob("*.sc.dcm")
    again = draft(*arguments, "--resume")
    assert again.code == 0
    assert "files without an image were ignored: 1 key image of a draft" in again.err
    assert "1 of 1 studies were drafted before" in again.err
    alone = draft(key_image)
    assert (alone.code, alone.out) == (3, "")
    assert "is the key image of an earlier draft, not an image of the patient; remove it from the input" in alone.err


def test_secondary_captures_of_other_programs_are_images(tmp_path: Path) -> None:
    pixels = noise_image().astype(np.uint16)
    path = write_dicom(tmp_path / "chest.dcm", pixels, SOPClassUID=SecondaryCaptureImageStorage, Manufacturer="ACME")
    assert len(read_study(path).images) == 1
