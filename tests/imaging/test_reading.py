"""Reading files and folders: what forms a study, what is refused, and that a broken file does not stop the others."""

from __future__ import annotations

import copy
import hashlib
import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from pydicom.uid import BasicTextSRStorage

from report_gen.errors import NotAnImageError, StudyError
from report_gen.imaging import StudyCollection, load_pixels, read_studies, read_study
from report_gen.records import ViewPosition
from tests.dicom_files import STUDY_UID, write_dicom

GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8)


def write_png(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(GRAY).save(path)
    return path


def write_structured_report(path: Path) -> Path:
    without = dict.fromkeys(("Rows", "Columns", "PixelData", "BitsStored", "BitsAllocated", "SamplesPerPixel"))
    return write_dicom(path, SOPClassUID=BasicTextSRStorage, HighBit=None, **without)


def names(found: StudyCollection) -> list[str]:
    return [study.name for study in found.studies]


def refused(found: StudyCollection) -> list[str]:
    return [error.path.name for error in found.refused]


# ---- one file -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["image.dcm", "image", "image.png"])
def test_the_format_is_recognized_by_content(tmp_path: Path, name: str) -> None:
    dicom = read_study(write_dicom(tmp_path / "a" / name))
    png = read_study(write_png(tmp_path / "b" / "original.png").rename(tmp_path / "b" / name))
    assert dicom.name == png.name == "image"
    assert dicom.study_instance_uid == STUDY_UID
    assert png.study_instance_uid is None
    for study in (dicom, png):
        image = study.images[0]
        assert image.sha256 == hashlib.sha256(image.path.read_bytes()).hexdigest()
        assert load_pixels(image).shape == (image.rows, image.columns)


def test_dicom_with_a_tiff_in_its_preamble_is_dicom(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm")
    path.write_bytes(b"II*\0" + path.read_bytes()[4:])
    assert read_study(path).study_instance_uid == STUDY_UID
    assert load_pixels(read_study(path).images[0]).shape == (3, 4)


def test_pixels_are_contiguous_floats_and_uniform_images_are_zeros(tmp_path: Path) -> None:
    pixels = load_pixels(read_study(write_dicom(tmp_path / "a.dcm", GRAY)).images[0])
    assert pixels.dtype == np.float32
    assert pixels.flags.c_contiguous
    assert (pixels.min(), pixels.max()) == (0, 1)
    for path in (tmp_path / "flat.png", tmp_path / "flat.tif"):
        PIL.Image.fromarray(np.full((4, 5), 200, np.uint8)).save(path)
        assert not load_pixels(read_study(path).images[0]).any()
    windowed = write_dicom(tmp_path / "flat.dcm", np.full((4, 5), 200, np.uint8), WindowCenter=100, WindowWidth=10)
    assert not load_pixels(read_study(windowed).images[0]).any()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.dcm", b"", "empty"),
        ("text.dcm", b"No acute cardiopulmonary abnormality.", "has the name of an image"),
        ("zeros.dcm", bytes(200), "has the name of an image"),
        ("text.png", b"not an image", "has the name of an image"),
        ("image.gif", b"GIF89a", "is not an image"),
        ("half.png", b"\x89PNG\r\n\x1a\n", "broken or truncated"),
        ("half.dcm", bytes(128) + b"DICM", "malformed|truncated"),
    ],
)
def test_files_that_are_not_images_are_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(StudyError, match=reason) as caught:
        read_study(path)
    assert caught.value.path == path
    assert refused(read_studies(path)) == [name]


def test_paths_that_are_not_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="does not exist"):
        read_study(tmp_path / "nowhere")
    with pytest.raises(StudyError, match="does not exist"):
        read_study(tmp_path / "null\0byte")
    os.mkfifo(tmp_path / "pipe.dcm")
    with pytest.raises(StudyError, match="not a regular file"):
        read_study(tmp_path / "pipe.dcm")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_permission_denied(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm")
    path.chmod(0)
    with pytest.raises(StudyError, match="permissions"):
        read_study(path)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dicom(tmp_path / "a.dcm")

    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(StudyError, match="Permission denied"):
        read_study(path)


# ---- folders ------------------------------------------------------------------------------------------------------


def test_dicom_files_are_grouped_by_study_and_ordered_by_number(tmp_path: Path) -> None:
    for name, uid, series, number in (("c", "1.9", 2, 2), ("b", "1.9", 2, 10), ("a", "1.9", 10, 1), ("d", "1.2", 1, 1)):
        write_dicom(
            tmp_path / name / "x.dcm",
            StudyInstanceUID=uid,
            SeriesInstanceUID=f"{uid}.{series}",
            SeriesNumber=series,
            InstanceNumber=number,
            SOPInstanceUID=f"{uid}.{series}.{number}",
        )
    found = read_studies(tmp_path)
    assert names(found) == ["1.2", "1.9"]
    assert [[image.path.parent.name for image in series.images] for series in found.studies[1].series] == [
        ["c", "b"],
        ["a"],
    ]
    assert found.refused == ()
    with pytest.raises(StudyError, match=r"2 studies.*read_studies"):
        read_study(tmp_path)
    assert read_study(tmp_path / "d").name == "1.2"


def test_images_and_series_without_a_number_come_last(tmp_path: Path) -> None:
    for name, series, number in (("a", None, 1), ("b", 2, None), ("c", 2, 5)):
        write_dicom(
            tmp_path / f"{name}.dcm",
            SeriesInstanceUID=f"1.{series or 1}",
            SeriesNumber=series,
            InstanceNumber=number,
            SOPInstanceUID=f"1.9.{ord(name)}",
        )
    assert [image.path.stem for image in read_study(tmp_path).images] == ["c", "b", "a"]


def test_images_of_one_folder_are_one_study(tmp_path: Path) -> None:
    for name in ("p1/b.png", "p1/a.png", "p2/a.png", "more/P1/a.png"):
        write_png(tmp_path / name)
    found = read_studies(tmp_path)
    assert names(found) == ["P1", "p1-2", "p2"]  # the names differ without case, because they become file names
    assert [image.path.name for image in found.studies[1].images] == ["a.png", "b.png"]
    assert read_study(tmp_path / "p1").name == "p1"
    assert all(image.view_position is ViewPosition.UNKNOWN for image in found.studies[1].images)


def test_without_a_study_uid_each_file_is_a_study(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", StudyInstanceUID=None, SOPInstanceUID="1.1")
    write_dicom(tmp_path / "b.dcm", StudyInstanceUID="", SOPInstanceUID="1.2")
    assert names(read_studies(tmp_path)) == ["a", "b"]


def test_a_malformed_uid_never_becomes_a_name(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", StudyInstanceUID="1.2.3.4.5.6.7")
    path.write_bytes(path.read_bytes().replace(b"1.2.3.4.5.6.7", b"../../etc/abc"))
    assert names(read_studies(tmp_path)) == ["a"]
    assert read_study(path).study_instance_uid is None


def test_two_patients_under_one_study_are_refused(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", PatientID="SENTINEL1", SOPInstanceUID="1.1")
    write_dicom(tmp_path / "b.dcm", PatientID="SENTINEL2", SOPInstanceUID="1.2")
    write_dicom(tmp_path / "c.dcm", StudyInstanceUID="1.7")
    found = read_studies(tmp_path)
    assert names(found) == ["1.7"]
    assert "two patients" in str(found.refused[0])
    assert "SENTINEL" not in str(found.refused[0])


def test_copies_count_once_and_conflicting_copies_are_refused(tmp_path: Path) -> None:
    first = write_dicom(tmp_path / "a.dcm")
    (tmp_path / "b.dcm").write_bytes(first.read_bytes())
    assert len(read_study(tmp_path).images) == 1
    write_dicom(tmp_path / "c.dcm", GRAY)
    with pytest.raises(StudyError, match="SOP Instance UID"):
        read_study(tmp_path)


def test_one_broken_file_does_not_stop_the_others(tmp_path: Path) -> None:
    write_dicom(tmp_path / "1" / "a.dcm")
    whole = write_dicom(tmp_path / "2" / "b.dcm", StudyInstanceUID="1.5").read_bytes()
    (tmp_path / "2" / "b.dcm").write_bytes(whole[:-3])
    (tmp_path / "2" / "zero.dcm").touch()
    (tmp_path / "2" / "text.png").write_text("x")
    half = write_png(tmp_path / "3" / "c.png")
    half.write_bytes(half.read_bytes()[:-30])
    found = read_studies(tmp_path)
    assert names(found) == [STUDY_UID]
    assert refused(found) == ["b.dcm", "text.png", "zero.dcm", "c.png"]
    with pytest.raises(StudyError, match="truncated"):
        read_study(tmp_path)


def test_objects_without_pixels_are_reported_and_do_not_refuse_the_study(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm")
    write_structured_report(tmp_path / "sr.dcm")
    (tmp_path / "viewer.exe").write_bytes(b"MZ")
    found = read_studies(tmp_path)
    assert refused(found) == ["sr.dcm", "viewer.exe"]
    assert all(isinstance(error, NotAnImageError) for error in found.refused)
    assert read_study(tmp_path).name == STUDY_UID


def test_sidecars_hidden_files_and_dicomdir_are_ignored(tmp_path: Path) -> None:
    write_png(tmp_path / "s" / "a.png")
    for name in ("report.txt", "labels.csv", "meta.json", "README.md", "x.xml", "doc.pdf", ".hidden.dcm", "DICOMDIR"):
        (tmp_path / "s" / name).write_text("text")
    write_png(tmp_path / "s" / ".cache" / "thumb.png")
    assert read_studies(tmp_path).refused == ()
    assert len(read_study(tmp_path).images) == 1
    write_dicom(tmp_path / "s" / "named.txt")  # an image in spite of its name
    assert names(read_studies(tmp_path)) == ["s", STUDY_UID]


def test_a_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no images found"):
        read_study(tmp_path)
    assert [error.path for error in read_studies(tmp_path).refused] == [tmp_path]
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(StudyError, match="no images found"):
        read_study(tmp_path)
    assert refused(read_studies(tmp_path)) == ["notes.txt"]


def test_links_pipes_and_loops_are_not_followed(tmp_path: Path) -> None:
    outside = write_dicom(tmp_path / "outside" / "a.dcm")
    root = tmp_path / "root"
    write_dicom(root / "b.dcm", StudyInstanceUID="1.4")
    (root / "link.dcm").symlink_to(outside)
    (root / "folder").symlink_to(outside.parent)
    (root / "loop").symlink_to(root)
    (root / "dangling.dcm").symlink_to(root / "gone")
    os.mkfifo(root / "pipe.dcm")
    found = read_studies(root)
    assert names(found) == ["1.4"]
    assert found.refused == ()


def test_an_unreadable_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dicom(tmp_path / "ok" / "a.dcm")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def deny(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deny)
    found = read_studies(tmp_path)
    assert names(found) == [STUDY_UID]
    assert refused(found) == ["closed"]


def test_errors_can_be_pickled(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").touch()
    error = read_studies(tmp_path).refused[0]
    copied = copy.copy(error)  # copies by the protocol of pickle
    assert (type(copied), copied.path, str(copied)) == (StudyError, error.path, str(error))


def test_no_patient_data_in_any_message(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", PatientID="ZZPHI7", PatientName="ZZPHI7", PhotometricInterpretation="ZZPHI7")
    write_dicom(tmp_path / "b.dcm", PatientID="ZZPHI7", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", PixelData=None)
    errors = read_studies(tmp_path).refused
    assert len(errors) == 2
    assert "ZZPHI7" not in "".join(map(str, errors))


# ---- real files ---------------------------------------------------------------------------------------------------


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "shape", "corner_is_darker"),
    [
        ("pydicom-data_RG1_J2KI.dcm", (1955, 1841), None),
        ("torchxrayvision_rsna_1517875201.850819.dcm", (1024, 1024), True),
        ("torchxrayvision_Fake_MONOCHROME1.dcm", (1024, 1024), False),
        ("dcmfx_CR-MONO1-10-chest.dcm", (440, 440), None),
        ("highdicom_dx_image.dcm", (169, 211), True),
    ],
)
def test_real_radiographs(shared: Path, name: str, shape: tuple[int, int], corner_is_darker: bool | None) -> None:
    study = read_study(shared / "data" / "dicom" / name)
    pixels = load_pixels(study.images[0])
    assert pixels.shape == shape == (study.images[0].rows, study.images[0].columns)
    assert 0 <= pixels.min() < pixels.max() <= 1
    if corner_is_darker is not None:
        assert (pixels[:20, :20].mean() < pixels.mean()) == corner_is_darker


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["pydicom-data_RG1_J2KI.dcm", "dcmfx_CR-MONO1-10-chest.dcm"])
def test_lungs_are_darker_than_the_spine(shared: Path, name: str) -> None:
    study = read_study(shared / "data" / "dicom" / name)
    assert study.images[0].view_position is ViewPosition.PA
    pixels = load_pixels(study.images[0])
    rows, columns = pixels.shape
    band = pixels[int(0.25 * rows) : int(0.4 * rows)]
    spine = band[:, int(0.46 * columns) : int(0.54 * columns)].mean()
    assert band[:, int(0.2 * columns) : int(0.35 * columns)].mean() < spine
    assert band[:, int(0.65 * columns) : int(0.8 * columns)].mean() < spine


@pytest.mark.realdata
def test_the_blank_image_is_zeros(shared: Path) -> None:
    assert not load_pixels(read_study(shared / "data" / "dicom" / "himl_1.dcm").images[0]).any()


@pytest.mark.realdata
def test_real_png_files(shared: Path) -> None:
    found = read_studies(shared / "data" / "iu_xray")
    assert [study.name for study in found.studies] == ["images"]
    assert len(found.studies[0].images) == 8
    assert [error.path.suffix for error in found.refused] == [".tgz"]
    for image in found.studies[0].images:
        assert 0 <= load_pixels(image).min() < load_pixels(image).max() <= 1
