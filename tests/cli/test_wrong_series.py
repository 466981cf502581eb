"""Wrong series of slices: `report-gen series` and `draft` end with one sentence that names the file and the remedy."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom import dcmread

from report_gen.errors import StudyError
from report_gen.records import BANNER
from tests.builders import tiny_config, tiny_model, write_checkpoint
from tests.cli.conftest import Answer, Command
from tests.slice_files import CORONAL, SAGITTAL, write_slices
from tests.volume_files import enhanced, slices

HEIGHTS = [(0.0, 0.0, 2.0 * number) for number in range(8)]


@pytest.fixture(scope="module")
def volume_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint of a model that takes four slices."""
    model = tiny_model(tiny_config(volumes={"views": 4}))
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "volumes", model=model)


Both = Callable[[Path], tuple[Answer, Answer]]


@pytest.fixture
def both(report_gen: Command, volume_checkpoint: Path) -> Both:
    """Run `series` and `draft` on a path."""
    options = ("--checkpoint", volume_checkpoint, "--candidates", 1)
    return lambda path: (report_gen("series", path), report_gen("draft", *options, path))


def series(folder: Path, **attributes: object) -> list[Path]:
    """Write eight slices. Return their paths in order."""
    return list(write_slices(folder, HEIGHTS, shape=(24, 24), BodyPartExamined="HEAD", **attributes).values)  # type: ignore[arg-type]


def add(folder: Path, positions: list[tuple[float, float, float]], **options: object) -> None:
    """Add slices of the same series to a folder."""
    uids = [f"1.2.3.{number}" for number in range(len(positions))]
    values = {"shape": (24, 24), "BodyPartExamined": "HEAD", "SOPInstanceUID": uids} | options
    for path in write_slices(folder.parent / "more", positions, **values).values:  # type: ignore[arg-type]
        path.rename(folder / f"more-{path.name}")


def assert_refused(answers: tuple[Answer, Answer], sentence: str) -> None:
    for answer in answers:
        assert answer.code == StudyError.exit_code
        assert f"report-gen: {sentence}\n" in answer.err


def assert_notice(answers: tuple[Answer, Answer], *sentences: str) -> None:
    listed, drafted = answers
    assert (listed.code, drafted.code) == (0, 0)
    assert drafted.out.startswith(BANNER)
    for sentence in sentences:
        assert sentence in " ".join(listed.out.split())
        assert sentence in " ".join(drafted.out.split())


def test_positions_that_are_missing(both: Both, tmp_path: Path) -> None:
    series(tmp_path / "a", ImagePositionPatient=None)
    assert_notice(
        both(tmp_path / "a"),
        "no image has a usable position in the patient (Image Position (Patient) is missing): the slices are in the "
        "order of their instance numbers",
    )


def test_some_positions_that_are_missing(both: Both, tmp_path: Path) -> None:
    for path in series(tmp_path / "a")[2:4]:
        dataset = dcmread(path)
        del dataset.ImagePositionPatient
        dataset.save_as(path)
    assert_notice(
        both(tmp_path / "a"),
        "2 images left out: Image Position (Patient) is missing",
        "2 slices are missing between slices 2 and 3 (at 2 and 8 mm): neighbors are up to 6 mm apart",
    )


def test_two_orientations(both: Both, tmp_path: Path) -> None:
    series(tmp_path / "a")
    add(tmp_path / "a", [(0, 2.0 * number, 0) for number in range(5)], directions=CORONAL)
    assert_notice(both(tmp_path / "a"), "the slices have 2 different orientations, sizes or pixel spacings")


@pytest.mark.parametrize(
    ("kept", "fault"),
    [
        (-100, "truncated: the file ends within its pixels"),
        (300, "truncated: the file ends before its pixels"),
        (0, "the file is empty"),
    ],
)
def test_a_broken_slice(both: Both, tmp_path: Path, kept: int, fault: str) -> None:
    path = series(tmp_path / "a")[4]
    path.write_bytes(path.read_bytes()[:kept])
    listed, drafted = both(tmp_path / "a")
    assert_refused((listed, drafted), f"{path}: {fault}; copy or export it again")
    assert "notice: stack 1: 1 slice is missing" in listed.out
    assert "1 of 8 images cannot be read and is not in this draft" in drafted.out


def test_two_patients(both: Both, tmp_path: Path) -> None:
    paths = series(tmp_path / "a", PatientID=["A"] * 4 + ["B"] * 4, PatientName=["Doe^A"] * 4 + ["Roe^B"] * 4)
    answers = both(tmp_path / "a")
    first, *others = sorted(paths)  # names are in random order
    other = next(path for path in others if (path in paths[:4]) != (first in paths[:4]))
    reason = (
        f"two patients share one Study Instance UID (Patient ID and name differ), as in {first} and {other}; "
        "separate their files"
    )
    assert_refused(answers, f"{tmp_path / 'a'}: {reason}")
    assert not any("Doe" in answer.out + answer.err for answer in answers)


def test_more_slices_than_a_scan_has(both: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("report_gen.imaging.volumes.ordering.MANY_SLICES", 7)
    series(tmp_path / "a")
    assert_notice(both(tmp_path / "a"), "there are 8 slices, more than one scan usually has")


def test_a_spacing_of_zero(both: Both, tmp_path: Path) -> None:
    series(tmp_path / "a", PixelSpacing=(0.0, 0.0))
    assert_notice(both(tmp_path / "a"), "(Pixel Spacing is not two positive distances)")


def test_one_position_for_all_slices(both: Both, tmp_path: Path) -> None:
    write_slices(tmp_path / "a", [(0, 0, 0)] * 8, shape=(24, 24), BodyPartExamined="HEAD")
    assert_notice(both(tmp_path / "a"), "all 8 images show one place, so findings elsewhere cannot be seen")


def test_a_nifti_file_without_an_affine(both: Both, tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((24, 24, 8), np.int16), None)
    image.header["qform_code"] = image.header["sform_code"] = 0
    image.to_filename(tmp_path / "a.nii.gz")
    assert_notice(
        both(tmp_path / "a.nii.gz"),
        "the NIfTI header states no orientation (sform_code and qform_code are 0)): the slices are in the order of "
        "their file, and their distances, the direction of the order and the sides of the patient are not known",
    )


def zipped(path: Path, files: list[Path], prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            archive.write(file, prefix + file.name)
    return path


def test_an_archive_that_is_cut(both: Both, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", series(tmp_path / "a"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert_refused(both(path), f"{path}: the ZIP archive is damaged; copy or export it again")


def test_an_archive_with_paths_outside_of_its_folder(both: Both, tmp_path: Path) -> None:
    """The slices are read, and nothing is written where the paths lead."""
    outside = tmp_path / "outside"
    path = zipped(tmp_path / "a.zip", series(tmp_path / "a"), prefix=f"../../../../../../../..{outside}/")
    listed, drafted = both(path)
    assert "CT axial" in listed.out
    assert "4 of 8 axial slices were given to the model" in drafted.out
    assert not outside.exists()


def test_messages_of_an_archive_name_it(report_gen: Command, tmp_path: Path) -> None:
    broken = series(tmp_path / "a")[4]
    broken.write_bytes(broken.read_bytes()[:-100])
    answer = report_gen("series", zipped(tmp_path / "a.zip", sorted((tmp_path / "a").iterdir())))
    assert f"report-gen: {tmp_path}/a.zip/{broken.name}: truncated" in answer.err


def test_a_scout_alone(both: Both, tmp_path: Path) -> None:
    files = write_slices(tmp_path / "a", [(0, 0, 0)], SAGITTAL, ImageType=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    listed, drafted = both(tmp_path / "a")
    assert listed.code == 0
    assert "no stack of slices" in listed.out
    assert "set aside, series 7: 1 image: localizer" in listed.out
    (path,) = files.values
    reason = "has no series of slices; set aside: 1 image: localizer; give a series of CT or MR slices"
    assert_refused((drafted,), f"{path}: {reason}")


def test_slices_of_another_matrix(both: Both, tmp_path: Path) -> None:
    series(tmp_path / "a")
    add(tmp_path / "a", [(0, 0, 40)], shape=(32, 32))
    answers = both(tmp_path / "a")
    assert_notice(answers, "the slices have 2 different orientations, sizes or pixel spacings (2 axial)")
    assert "stack 2: the only axial slice was given to the model" in answers[1].out


def test_an_enhanced_object_whose_frames_or_groups_are_missing(both: Both, tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    fewer_pixels, fewer_groups = enhanced(slices(8)), enhanced(slices(8))
    fewer_pixels.NumberOfFrames = 12
    fewer_pixels.save_as(path)
    assert_refused(both(path), f"{path}: truncated: the file ends within its pixels; copy or export it again")
    fewer_groups.PerFrameFunctionalGroupsSequence = list(fewer_groups.PerFrameFunctionalGroupsSequence)[:5]
    fewer_groups.save_as(path)
    assert_refused(both(path), f"{path}: malformed: 8 frames, but functional groups of 5; export it again")


def test_an_enhanced_object_with_a_gap(both: Both, tmp_path: Path) -> None:
    dataset = enhanced(slices(8))
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    dataset.NumberOfFrames, dataset.PerFrameFunctionalGroupsSequence = 6, groups[:3] + groups[5:]
    dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) * 6 // 8]
    dataset.save_as(tmp_path / "a.dcm")
    assert_notice(both(tmp_path / "a.dcm"), "2 slices are missing between slices 3 and 4 (at -25 and -17.5 mm):")
