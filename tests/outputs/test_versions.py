"""Which files beside a document are newer versions of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from report_gen import read_study
from report_gen.errors import StudyError
from report_gen.outputs import DraftDocument, OutputFormat, get_format
from report_gen.outputs.versions import find_newer
from report_gen.records import Provenance, Report, parse_report
from tests.dicom_files import write_dicom

FORMATS = ("dicom-sr", "dicom-sr-findings", "dicom-sc", "fhir", "hl7")


@dataclass(frozen=True)
class Documents:
    """Documents of one format."""

    output_format: OutputFormat
    versions: tuple[bytes, bytes, bytes]
    """Three versions of one document."""
    other: bytes
    """Another document of the same study."""


@pytest.fixture(scope="module", params=FORMATS)
def documents(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Documents:
    output_format, folder = get_format(request.param), tmp_path_factory.mktemp("documents")
    study = read_study(write_dicom(folder / "chest.dcm"))
    earlier, made = None, []
    for second in range(3):
        provenance = Provenance(
            model_name="tiny",
            weights_sha256="0123456789abcdef" * 4,
            program_version="1",
            created=f"2026-01-02T03:04:{second:02}Z",
            study_instance_uid="1.2.3",
            inputs=(),
            decoding={},
        )
        report = Report(sections=parse_report("Clear."), findings=(), notices=(), provenance=provenance)
        made.append(output_format.render(DraftDocument(report=report, study=study, revises=earlier)))
        earlier = folder / str(second)
        earlier.write_bytes(made[-1])
    first, second_version, third = made
    other = output_format.render(DraftDocument(report=replace(report, notices=("Lateral.",)), study=study))
    return Documents(output_format, (first, second_version, third), other)


@pytest.fixture
def output_format(documents: Documents) -> OutputFormat:
    return documents.output_format


@pytest.fixture
def versions(documents: Documents, tmp_path: Path) -> list[Path]:
    """Three versions of one document; the second and the third are in a folder of their own."""
    names = ("first/chest", "out/chest-v2", "out/chest-v3")
    paths = [tmp_path / f"{name}{documents.output_format.suffix}" for name in names]
    for path, content in zip(paths, documents.versions, strict=True):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return paths


def newer(path: Path, output_format: OutputFormat, *folders: Path, stem: str = "chest") -> Path | None:
    assert output_format.read_version is not None
    return find_newer(
        path,
        output_format.read_version,
        folders=(path.parent, *folders),
        stems=(stem,),
        suffix=output_format.suffix,
    )


def test_the_newest_version_is_found(versions: list[Path], output_format: OutputFormat) -> None:
    first, second, third = versions
    out = third.parent
    assert newer(first, output_format, out) == third
    assert newer(second, output_format) == third
    assert newer(third, output_format, first.parent) is None
    assert newer(first, output_format) is None  # the folder of the others is not known
    assert newer(first, output_format, out / "absent") is None
    third.unlink()
    assert newer(first, output_format, out) == second


def test_other_documents_are_no_versions(
    versions: list[Path], output_format: OutputFormat, documents: Documents
) -> None:
    first, second, third = versions
    second.write_bytes(b"DICM or not" * 20)
    third.rename(third.with_name(f"other-v3{output_format.suffix}"))
    (third.parent / f"chest-v9{output_format.suffix}").write_bytes(documents.other)
    assert newer(first, output_format, third.parent) is None


def test_a_document_that_was_renamed_is_compared_with_the_files_of_the_study(
    versions: list[Path], output_format: OutputFormat
) -> None:
    first, _, third = versions
    fetched = first.rename(first.with_name("IM0001"))
    assert newer(fetched, output_format, third.parent) == third
    assert newer(fetched, output_format, third.parent, stem="another") is None


def test_long_names_that_were_cut_are_compared(versions: list[Path], output_format: OutputFormat) -> None:
    first, _, third = versions
    name = "n" * 225
    cut = third.rename(third.with_name(f"{name}-0123456789ab"[:240] + output_format.suffix))
    assert newer(first, output_format, third.parent, stem=f"{name}nnnn") == cut


def test_a_file_of_another_program_has_no_version(tmp_path: Path, output_format: OutputFormat) -> None:
    path = tmp_path / f"a{output_format.suffix}"
    path.write_text("{}")
    with pytest.raises(StudyError, match="report-gen"):
        newer(path, output_format)
