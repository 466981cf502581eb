"""`report-gen series`: the table of stacks, the contact sheet, and what is refused."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
import pytest

from tests.builders import noise_image, write_png
from tests.cli.conftest import Command
from tests.cli.test_start import MODEL_LIBRARIES, loaded_modules
from tests.dicom_files import write_dicom
from tests.slice_files import SAGITTAL, write_slices


@pytest.fixture
def head(tmp_path: Path) -> Path:
    """Write a CT of two head stacks: one with a missing slice, and a localizer. Return the folder."""
    folder = tmp_path / "head"
    locations = [3.0 * number for number in range(12) if number != 4]
    values = {"BodyPartExamined": "HEAD", "SeriesDescription": "Head [3.0]"}
    write_slices(folder / "a", [(0, 0, z) for z in locations], **values)
    localizer = {"SeriesInstanceUID": "1.2.9", "SeriesNumber": 1, "SOPInstanceUID": "1.2.9.1"}
    write_slices(folder / "b", [(0, 0, 0)], SAGITTAL, ImageType=("ORIGINAL", "PRIMARY", "LOCALIZER"), **localizer)
    return folder


def test_stacks_images_set_aside_and_notices_are_listed(report_gen: Command, head: Path) -> None:
    answer = report_gen("series", head)
    assert (answer.code, answer.err) == (0, "")
    cells = [cell.strip() for line in answer.out.splitlines() if "Head" in line for cell in line.split("│")]
    assert cells[1:-1] == ["1", "7", "CT axial", "11", "0.8 x 0.7 x 3", "Head [3.0]"]
    assert answer.out.splitlines()[-2:] == [
        "set aside, series 1: 1 image: localizer",
        "notice: stack 1: 1 slice is missing between slices 4 and 5 (at 9 and 15 mm): neighbors are up to 6 mm apart, "
        "and 3 mm elsewhere",
    ]


def test_a_notice_of_several_stacks_is_one_line(report_gen: Command, tmp_path: Path) -> None:
    """Three stacks of one slice each have the same notices, in the table and on the sheet."""
    for number in (1, 2, 3):
        series = {"SeriesInstanceUID": f"1.2.{number}", "SeriesNumber": number, "SOPInstanceUID": f"1.2.{number}.1"}
        write_slices(tmp_path / "ct" / str(number), [(0, 0, 0)], **series)
    answer = report_gen("series", tmp_path / "ct", "-o", tmp_path / "sheet.png")
    assert answer.code == 0
    notices = [line for line in answer.out.splitlines() if line.startswith("notice: ")]
    assert notices == [
        "notice: stack 1 and 2 other stacks: one slice was given; findings elsewhere in the series cannot be seen"
    ]
    assert [line for line in answer.err.splitlines() if line.startswith("report-gen: ")] == [
        "report-gen: notice: stack 1 and 2 other stacks: the header names no body part, so the CT windows are lung, "
        "soft tissue and bone"
    ]


@pytest.mark.parametrize("sampling", ["content", "even"])
def test_the_sheet_has_a_row_for_each_window(report_gen: Command, head: Path, tmp_path: Path, sampling: str) -> None:
    """Rows are 160 pixels high, and a title 0.4 inches of 120 pixels. Slices of 8.4 x 8 mm have gaps of 2 pixels.

    The caption has two lines, the second of 0.165 inches.
    """
    answer = report_gen("series", head, "-o", tmp_path / "sheet.png", "--views", 4, "--sampling", sampling)
    assert (answer.code, answer.err) == (0, "")
    with PIL.Image.open(tmp_path / "sheet.png") as sheet:
        width, height = sheet.size
    assert height == pytest.approx(3 * (160 + 48) + 48 + 20, abs=1)
    assert width == pytest.approx(4 * 152 + 3 * 2, abs=1)


def test_a_study_without_slices_is_one_line_and_no_sheet(report_gen: Command, tmp_path: Path) -> None:
    write_dicom(tmp_path / "chest.dcm")
    answer = report_gen("series", tmp_path / "chest.dcm", "-o", tmp_path / "sheet.png")
    assert answer.code == 0
    assert answer.out.splitlines() == [
        "chest: no stack of slices",
        "set aside, series without number: 1 image: single image without position in the patient",
        "notice: the study has no slices; `report-gen draft` takes radiographs and other single images",
    ]
    assert answer.err.endswith("sheet.png was not written: there is no stack of slices to draw\n")
    assert not (tmp_path / "sheet.png").exists()


def test_pictures_are_not_joined_by_an_option_that_the_command_does_not_have(
    report_gen: Command, head: Path, tmp_path: Path
) -> None:
    for number in range(2):
        write_png(tmp_path / "pictures" / f"patient{number}_chest.png", noise_image(number))
    answer = report_gen("series", tmp_path / "pictures", head)
    assert answer.code == 0
    assert answer.err.endswith("or their names differ like those of patients\n")
    assert "notice: 2 of 3 studies have no slices; `report-gen draft` takes" in answer.out


def test_a_copy_of_a_slice_is_named(report_gen: Command, head: Path) -> None:
    slice_file = sorted((head / "a").iterdir())[0]
    copy = head / "a" / "copy.dcm"
    copy.write_bytes(slice_file.read_bytes())
    answer = report_gen("series", head)
    assert f"1 file is a copy of an image of the same study and left out: {copy}" in answer.err
    assert "1 slice is missing" in answer.out


def test_a_broken_file_ends_with_code_3_and_the_others_are_listed(report_gen: Command, head: Path) -> None:
    broken = next((head / "a").iterdir())
    broken.write_bytes(broken.read_bytes()[:900])
    answer = report_gen("series", head)
    assert answer.code == 3
    assert answer.err.startswith(f"report-gen: {broken}: ")
    assert "CT axial" in answer.out


def test_pixels_that_cannot_be_decoded_leave_the_stack_out_of_the_sheet(
    report_gen: Command, head: Path, tmp_path: Path
) -> None:
    path = next((head / "a").iterdir())
    data = bytearray(path.read_bytes())
    data[: len(data)] = data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")  # RLE, which it is not
    path.write_bytes(data)
    answer = report_gen("series", head, "-o", tmp_path / "sheet.png")
    assert answer.code == 3
    assert str(path) in answer.err


@pytest.mark.parametrize("options", [("-o", "sheet.jpg"), ("--views", "0"), ("--views", "1000")])
def test_options_that_cannot_be_used_are_refused(report_gen: Command, head: Path, options: tuple[str, str]) -> None:
    assert report_gen("series", head, *options).code == 2


def test_no_library_for_models_is_loaded(head: Path, tmp_path: Path) -> None:
    loaded = loaded_modules(["series", str(head), "-o", str(tmp_path / "sheet.png")], ["series", str(head)])
    assert "matplotlib" in loaded
    assert not loaded & MODEL_LIBRARIES
