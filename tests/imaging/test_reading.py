"""Reading files and folders: what forms a study, what is refused, and that a broken file does not stop the others."""

from __future__ import annotations

import copy
import hashlib
import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian, MediaStorageDirectoryStorage, SegmentationStorage

from report_gen.errors import NotAnImageError, StudyError
from report_gen.imaging import StudyCollection, load_pixels, read_studies, read_study
from report_gen.records import ViewPosition
from tests.dicom_files import STUDY_UID, write_dicom

GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8)


def write_png(path: Path) -> Path:
    """Write an image whose pixels differ from those of other names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(np.roll(GRAY, sum(path.name.encode(errors="surrogateescape")))).save(path)
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
        ("image.gif", b"GIF89a", "not supported"),
        ("volume.nrrd", b"NRRD0005", "not supported"),
        ("volume.nii.gz", b"\x1f\x8b", "has the name of an image"),
        ("IM0001", bytes(200), "neither an image nor a text"),
        ("1.2.826.0.1", bytes(200), "neither an image nor a text"),
        ("IM0001", b"", "empty"),
        ("notes", b"No acute abnormality.", "is not an image"),
        ("viewer", b"\x7fELF\0\0", "is not an image"),
        ("done.flag", b"", "is not an image"),
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


@pytest.mark.parametrize(
    ("first", "second", "differing"),
    [
        ({"PatientID": "SENTINEL1"}, {"PatientID": "SENTINEL2"}, "Patient ID"),
        ({"PatientName": "SENTINEL^A"}, {"PatientName": "SENTINEL^B"}, "name"),
        ({"PatientName": "A^B=山田^太郎"}, {"PatientName": "A^B=山田^花子"}, "name"),
        ({"PatientBirthDate": "19400101"}, {"PatientBirthDate": "19900101"}, "birth date"),
        ({"PatientID": "", "PatientSex": "F"}, {"PatientID": "", "PatientSex": "M"}, "sex"),
    ],
)
def test_two_patients_under_one_study_are_refused(
    tmp_path: Path, first: dict[str, str], second: dict[str, str], differing: str
) -> None:
    write_dicom(tmp_path / "a.dcm", SOPInstanceUID="1.1", SpecificCharacterSet="ISO_IR 192", **first)
    write_dicom(tmp_path / "b.dcm", SOPInstanceUID="1.2", SpecificCharacterSet="ISO_IR 192", **second)
    write_dicom(tmp_path / "c.dcm", StudyInstanceUID="1.7")
    found = read_studies(tmp_path)
    assert names(found) == ["1.7"]
    assert f"two patients share one Study Instance UID ({differing} differ)" in str(found.refused[0])
    assert not any(value in str(found.refused[0]) for value in (*first.values(), *second.values()) if len(value) > 1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"PatientID": "P1"}, {"PatientID": ""}),
        ({"PatientName": "Müller^Jörg^^^"}, {"PatientName": "MULLER^JORG"}),
        ({"PatientName": "Yamada^Tarou=山田^太郎"}, {"PatientName": "YAMADA^TAROU"}),
        ({"PatientBirthDate": "19400101"}, {"PatientBirthDate": ""}),
    ],
)
def test_one_patient_written_in_two_ways(tmp_path: Path, first: dict[str, str], second: dict[str, str]) -> None:
    write_dicom(tmp_path / "a.dcm", SOPInstanceUID="1.1", SpecificCharacterSet="ISO_IR 192", **first)
    write_dicom(tmp_path / "b.dcm", SOPInstanceUID="1.2", SpecificCharacterSet="ISO_IR 192", **second)
    assert len(read_study(tmp_path).images) == 2


@pytest.mark.parametrize("series", ["1.1", "1.2"])
def test_copies_count_once_and_conflicting_copies_are_refused(tmp_path: Path, series: str) -> None:
    first = write_dicom(tmp_path / "a.dcm", SeriesInstanceUID="1.1")
    (tmp_path / "b.dcm").write_bytes(first.read_bytes())
    write_dicom(tmp_path / "c.dcm", SeriesInstanceUID=series, SeriesDescription="the same pixels")
    assert len(read_study(tmp_path).images) == 1
    write_dicom(tmp_path / "d.dcm", GRAY, SeriesInstanceUID=series)
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


def test_objects_without_pixels_beside_images_are_passed_over_with_one_notice(tmp_path: Path) -> None:
    image = write_dicom(tmp_path / "a.dcm")
    report = write_structured_report(tmp_path / "sr.dcm")
    write_dicom(tmp_path / "seg.dcm", SOPClassUID=SegmentationStorage, NumberOfFrames=3)
    (tmp_path / "viewer.exe").write_bytes(b"MZ")
    found = read_studies(tmp_path)
    assert found.refused == ()
    assert sorted(error.path.name for error in found.passed_over) == ["seg.dcm", "sr.dcm", "viewer.exe"]
    (notice,) = found.notices
    assert "1 Basic Text SR, 1 Segmentation, 1 of another kind, such as" in notice
    assert read_study(tmp_path).name == STUDY_UID
    assert read_studies(image, report).refused == ()  # as a pattern of the shell names them
    for alone in (report, tmp_path / "viewer.exe"):
        with pytest.raises(NotAnImageError):
            read_study(alone)
    assert refused(read_studies(image, tmp_path / "viewer.exe")) == ["viewer.exe"]
    image.unlink()
    assert "1 Basic Text SR" in str(read_studies(tmp_path).refused[0])


@pytest.mark.parametrize("name", ["DICOMDIR", "dicomdir", "DICOMDIR;1", "index"])
def test_a_dicomdir_is_recognized_by_its_content(tmp_path: Path, name: str) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, MediaStorageDirectoryStorage
    meta.MediaStorageSOPInstanceUID = "1.2"
    directory = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    directory.DirectoryRecordSequence = []
    directory.save_as(tmp_path / name)
    with pytest.raises(NotAnImageError, match="is a DICOMDIR"):
        read_study(tmp_path / name)
    write_dicom(tmp_path / "images" / "a.dcm")
    found = read_studies(tmp_path)
    assert (names(found), found.refused, found.notices) == ([STUDY_UID], (), ())


def test_sidecars_hidden_files_and_a_damaged_dicomdir_are_ignored(tmp_path: Path) -> None:
    write_png(tmp_path / "s" / "a.png")
    for name in ("report.txt", "labels.csv", "meta.json", "README.md", "x.xml", "doc.pdf", ".hidden.dcm", "DICOMDIR"):
        (tmp_path / "s" / name).write_text("text")
    write_png(tmp_path / "s" / ".cache" / "thumb.png")
    found = read_studies(tmp_path)
    assert (found.refused, found.notices) == ((), ())
    assert len(read_study(tmp_path).images) == 1
    write_dicom(tmp_path / "s" / "named.txt")  # an image in spite of its name
    assert names(read_studies(tmp_path)) == ["s", STUDY_UID]


def test_a_folder_without_images_is_one_error(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.exe").write_text("text")
        found = read_studies(tmp_path)
        assert [error.path for error in found.refused] == [tmp_path]
        assert found.notices == ()
        with pytest.raises(StudyError, match=rf"no images found.*{number + 1} of another kind"):
            read_study(tmp_path)


# ---- loose pictures -----------------------------------------------------------------------------------------------


def test_more_than_six_pictures_are_studies_of_their_own_unless_joined(tmp_path: Path) -> None:
    folder = tmp_path / "loose"
    for number in range(6):
        write_png(folder / f"image_{number}.png")
    assert names(read_studies(folder)) == ["loose"]
    assert "6 images are read as one study" in read_studies(folder).notices[0]
    write_png(folder / "image_6.png")
    found = read_studies(folder)
    assert names(found) == [f"image_{number}" for number in range(7)]
    assert "each of the 7 images is read as a separate study" in found.notices[0]
    with pytest.raises(StudyError, match=r"7 studies.*as_study=True"):
        read_study(folder)
    assert len(read_study(folder, as_study=True).images) == 7
    assert read_studies(folder, as_study=True).notices == ()


def test_pictures_whose_names_differ_like_patients_are_studies_of_their_own(tmp_path: Path) -> None:
    for name in ("patient01", "patient02"):
        write_png(tmp_path / f"{name}.png")
    found = read_studies(tmp_path)
    assert (names(found), len(found.notices)) == (["patient01", "patient02"], 1)


def test_views_of_one_study_need_no_notice(tmp_path: Path) -> None:
    files = [write_png(tmp_path / "s" / f"{name}.png") for name in ("pa", "lateral")]
    assert (names(read_studies(tmp_path)), read_studies(tmp_path).notices) == (["s"], ())
    assert names(read_studies(*files)) == ["pa", "lateral"]
    assert names(read_studies(*files, as_study=True)) == ["s"]


# ---- links --------------------------------------------------------------------------------------------------------


def test_links_out_of_the_folder_and_to_nothing_are_counted(tmp_path: Path) -> None:
    outside = write_dicom(tmp_path / "outside" / "a.dcm")
    root = tmp_path / "root"
    write_dicom(root / "b.dcm", StudyInstanceUID="1.4")
    (root / "link.dcm").symlink_to(outside)
    (root / "folder").symlink_to(outside.parent)
    (root / "loop").symlink_to(root)
    (root / "dangling.dcm").symlink_to(root / "gone")
    (root / "itself.dcm").symlink_to(root / "itself.dcm")
    os.mkfifo(root / "pipe.dcm")
    found = read_studies(root)
    assert (names(found), found.refused) == (["1.4"], ())
    assert [notice[:40] for notice in found.notices] == [
        "2 symbolic links lead out of the given f",
        "2 symbolic links lead to a file that doe",
    ]
    (root / "b.dcm").unlink()
    with pytest.raises(StudyError, match="no images found; 2 symbolic links lead out"):
        read_study(root)
    assert read_study(root / "link.dcm").study_instance_uid == STUDY_UID  # given by name


def test_hidden_files_are_read_through_links_once_in_a_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_png(root / ".git" / "annex" / "key1.png")
    for name in ("p1/a.png", "p1/copy.png", "p2/a.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).symlink_to(root / ".git" / "annex" / "key1.png")
    (root / "p3").symlink_to(root / ".git" / "annex")
    (root / ".git" / "annex" / "up").symlink_to(root / ".git")
    found = read_studies(root)
    assert [[str(image.path.relative_to(root)) for image in study.images] for study in found.studies] == [
        ["p1/a.png"],
        ["p2/a.png"],
        ["p3/key1.png"],
    ]
    assert (found.refused, found.notices) == ((), ())


def test_a_file_and_links_to_it_are_one_image(tmp_path: Path) -> None:
    image = write_png(tmp_path / "s" / "a.png")
    (tmp_path / "s" / "b.png").symlink_to("a.png")
    (tmp_path / "t").symlink_to("s")
    assert [one.path for one in read_study(tmp_path).images] == [image]


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
    assert len(found.studies) == 8
    assert found.refused == ()
    for image in (study.images[0] for study in found.studies):
        assert 0 <= load_pixels(image).min() < load_pixels(image).max() <= 1


def test_files_of_one_study_that_were_given_by_name_get_a_notice(tmp_path: Path) -> None:
    paths = [write_dicom(tmp_path / f"{number}.dcm", SOPInstanceUID=f"1.2.3.{number}") for number in range(3)]
    found = read_studies(*paths)
    assert len(found.studies) == 3
    assert found.notices == (
        f"3 files are read as separate studies, although {paths[0]} and {paths[1]} have the same Study Instance UID; "
        "give their folder to read them together",
    )
    other = write_dicom(tmp_path / "other.dcm", SOPInstanceUID="1.2.4.1", StudyInstanceUID="1.2.4")
    assert read_studies(paths[0], other).notices == ()
    assert read_studies(tmp_path).notices == ()
