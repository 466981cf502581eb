"""Which files make up a study: patients, copies, series, and pictures of one folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from report_gen.errors import StudyError
from report_gen.imaging import read_studies, read_study
from tests.dicom_files import STUDY_UID, write_dicom

GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8)


def write_pictures(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in names]
    for seed, path in enumerate(paths):
        PIL.Image.fromarray(np.roll(GRAY, seed)).save(path)
    return paths


# ---- patients -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "which"),
    [
        ({"PatientID": "SECRET1"}, {"PatientID": "SECRET2"}, "(Patient ID differ)"),
        ({"PatientName": "SECRET^ANNA"}, {"PatientName": "SECRET^BERTA"}, "(name differ)"),
        ({"PatientName": "Secret^Anna=秘密"}, {"PatientName": "Secret^Anna=内密"}, "(name differ)"),
        ({"PatientBirthDate": "19400101"}, {"PatientBirthDate": "19900101"}, "(birth date differ)"),
        ({"PatientSex": "F"}, {"PatientSex": "M"}, "(sex differ)"),
        (
            {"PatientID": "", "PatientBirthDate": "19400101", "PatientSex": "F"},
            {"PatientID": "", "PatientBirthDate": "19900101", "PatientSex": "M"},
            "(birth date and sex differ)",
        ),
        ({"PatientAge": "045Y"}, {"PatientAge": "002Y"}, "(age differ)"),
        ({"PatientSpeciesDescription": "HUMAN"}, {"PatientSpeciesDescription": "Canis"}, "(species differ)"),
    ],
)
def test_two_patients_under_one_study_are_refused(
    tmp_path: Path, one: dict[str, str], other: dict[str, str], which: str
) -> None:
    write_dicom(tmp_path / "a.dcm", SpecificCharacterSet="ISO_IR 192", SOPInstanceUID="1.1", **one)
    write_dicom(tmp_path / "b.dcm", SpecificCharacterSet="ISO_IR 192", SOPInstanceUID="1.2", **other)
    write_dicom(tmp_path / "c.dcm", StudyInstanceUID="1.7")
    found = read_studies(tmp_path)
    assert [study.name for study in found.studies] == ["1.7"]
    (error,) = found.refused
    assert "two patients share one Study Instance UID" in error.reason
    assert f"{which[:-1]}), as in {tmp_path / 'a.dcm'} and {tmp_path / 'b.dcm'}; separate their files" in error.reason
    assert not any(value and value in str(error) for value in (*one.values(), *other.values()))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"PatientID": "ab 1"}, {"PatientID": "AB  1"}),
        ({"PatientID": "1"}, {"PatientID": ""}),
        ({"PatientName": "Doe^Jane"}, {"PatientName": "DOE^JANE^^^"}),
        ({"PatientName": "Doe^Jane"}, {"PatientName": "Doe, Jane"}),
        ({"PatientName": "Müller^Änne"}, {"PatientName": "MULLER^ANNE"}),
        ({"PatientName": "Yamada^Tarou=山田^太郎"}, {"PatientName": "Yamada^Tarou"}),
        ({"PatientName": "Doe^Jane"}, {"PatientName": None}),
        ({"PatientSex": "F"}, {"PatientSex": "UNKNOWN"}),
        ({"PatientSex": "M"}, {"PatientSex": "MALE"}),
        ({"PatientAge": "045Y"}, {"PatientAge": "046Y"}),
        ({"PatientAge": "045Y"}, {"PatientAge": "000Y"}),
        ({"PatientSpeciesDescription": "Homo sapiens"}, {"PatientSpeciesDescription": "HUMAN"}),
    ],
)
def test_other_spellings_and_missing_values_are_one_patient(
    tmp_path: Path, one: dict[str, str], other: dict[str, str | None]
) -> None:
    write_dicom(tmp_path / "a.dcm", SpecificCharacterSet="ISO_IR 192", SOPInstanceUID="1.1", **one)
    write_dicom(tmp_path / "b.dcm", SpecificCharacterSet="ISO_IR 192", SOPInstanceUID="1.2", **other)
    assert len(read_study(tmp_path).images) == 2


def test_what_a_later_file_states_of_the_patient_counts_for_the_study(tmp_path: Path) -> None:
    """The first file by name or instance number is not more reliable than the others."""
    stated = {"PatientAge": "002Y", "PatientSpeciesDescription": "Canis lupus familiaris", "PatientSex": "M"}
    write_dicom(tmp_path / "a.dcm", SOPInstanceUID="1.1", InstanceNumber=1, PatientID=None)
    write_dicom(tmp_path / "b.dcm", SOPInstanceUID="1.2", InstanceNumber=2, PatientID="P2", **stated)
    study = read_study(tmp_path)
    assert (study.patient_age, study.patient_species, study.patient_sex, study.patient_id) == (
        2,
        "Canis lupus familiaris",
        "M",
        "P2",
    )


def test_descriptions_and_indication_belong_to_their_image(tmp_path: Path) -> None:
    hand = {"StudyDescription": "XR HAND", "ReasonForTheRequestedProcedure": "hand pain"}
    write_dicom(tmp_path / "a.dcm", SOPInstanceUID="1.1", SeriesNumber=1, **hand)
    write_dicom(tmp_path / "b.dcm", SOPInstanceUID="1.2", SeriesNumber=2, StudyDescription="XR CHEST")
    study = read_study(tmp_path)
    assert [one.study_description for one in study.series] == ["XR HAND", "XR CHEST"]
    assert study.indication == "hand pain"
    assert study.with_images(study.images[1:]).indication is None
    assert study.with_images(study.images[:1]).indication == "hand pain"


# ---- files that cannot be read ------------------------------------------------------------------------------------


def truncate(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def test_a_broken_file_is_counted_in_its_study(tmp_path: Path) -> None:
    """Its Study Instance UID is read although its pixels are truncated."""
    large = np.zeros((64, 64), dtype=np.uint16)
    write_dicom(tmp_path / "a.dcm", large, SOPInstanceUID="1.1")
    truncate(write_dicom(tmp_path / "b.dcm", large, SOPInstanceUID="1.2"), 0.9)
    write_dicom(tmp_path / "c.dcm", large, StudyInstanceUID="1.7", SOPInstanceUID="1.3")
    (tmp_path / "d.dcm").write_bytes(b"")  # of one of two studies, nobody knows which
    found = read_studies(tmp_path)
    assert {study.name: study.unreadable_images for study in found.studies} == {STUDY_UID: 1, "1.7": 0}
    assert [error.path.name for error in found.refused] == ["b.dcm", "d.dcm"]


@pytest.mark.parametrize(("broken", "number"), [("lateral.png", 1), ("patient2_pa.png", 0)])
def test_a_broken_picture_is_counted_if_it_may_be_of_the_patient(tmp_path: Path, broken: str, number: int) -> None:
    write_pictures(tmp_path, "patient1_pa.png")
    (tmp_path / broken).write_bytes(b"")
    (study,) = read_studies(tmp_path).studies
    assert study.unreadable_images == number


def test_a_file_that_no_study_can_be_read_from_counts_for_the_only_study_of_its_folder(tmp_path: Path) -> None:
    write_dicom(tmp_path / "1" / "a.dcm")
    (tmp_path / "1" / "b.dcm").write_bytes(b"")
    write_dicom(tmp_path / "2" / "a.dcm", StudyInstanceUID="1.7", SOPInstanceUID="1.3")
    assert [(study.name, study.unreadable_images) for study in read_studies(tmp_path).studies] == [
        (STUDY_UID, 1),
        ("1.7", 0),
    ]


def test_no_record_contains_the_name_of_the_patient(tmp_path: Path) -> None:
    for number in (1, 2):
        write_dicom(tmp_path / f"{number}.dcm", PatientName="SECRET^ANNA", SOPInstanceUID=f"1.{number}")
    study = read_study(tmp_path)
    values = [vars(record) for record in (study, *study.series, *study.images)]
    assert "SECRET" not in str(values)


# ---- copies and series --------------------------------------------------------------------------------------------


def test_copies_count_once(tmp_path: Path) -> None:
    first = write_dicom(tmp_path / "a.dcm")
    (tmp_path / "b.dcm").write_bytes(first.read_bytes())
    write_dicom(tmp_path / "c.dcm", StationName="exported again")
    write_dicom(tmp_path / "d.dcm", SeriesInstanceUID="1.5")
    assert [image.path.name for image in read_study(tmp_path).images] == ["a.dcm"]


@pytest.mark.parametrize("series", [f"{STUDY_UID}.1", "1.5"])
def test_one_uid_for_two_different_images_is_refused(tmp_path: Path, series: str) -> None:
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4)
    write_dicom(tmp_path / "a.dcm", pixels)
    write_dicom(tmp_path / "b.dcm", np.roll(pixels, 5), SeriesInstanceUID=series)
    write_dicom(tmp_path / "c.dcm", StudyInstanceUID="1.7")
    found = read_studies(tmp_path)
    assert [study.name for study in found.studies] == ["1.7"]
    assert [(error.path.name, error.reason) for error in found.refused] == [
        ("b.dcm", f"differs from {tmp_path / 'a.dcm'}, but has the same SOP Instance UID; keep one of the two files")
    ]


def test_an_image_of_the_hand_keeps_its_body_part_in_a_series_of_the_chest(tmp_path: Path) -> None:
    for number, part, modality in ((1, "CHEST", "DX"), (2, "HAND", "DX"), (3, "CHEST", "DX"), (4, "CHEST", "CR")):
        write_dicom(
            tmp_path / f"{number}.dcm",
            SOPInstanceUID=f"1.{number}",
            InstanceNumber=number,
            SeriesNumber=1,
            BodyPartExamined=part,
            Modality=modality,
        )
    series = read_study(tmp_path).series
    assert [(one.modality, one.body_part, [image.path.stem for image in one.images]) for one in series] == [
        ("DX", "CHEST", ["1", "3"]),
        ("DX", "HAND", ["2"]),
        ("CR", "CHEST", ["4"]),
    ]


# ---- pictures -----------------------------------------------------------------------------------------------------


def test_six_pictures_are_one_study_and_seven_are_seven(tmp_path: Path) -> None:
    write_pictures(tmp_path / "six", *(f"{number}.png" for number in range(6)))
    write_pictures(tmp_path / "seven", *(f"{number}.png" for number in range(7)))
    assert [len(study.images) for study in read_studies(tmp_path / "six").studies] == [6]
    found = read_studies(tmp_path / "seven")
    assert [study.name for study in found.studies] == list("0123456")
    (notice,) = found.notices
    assert notice.startswith(f"{tmp_path / 'seven'}: each of the 7 images is read as a separate study")
    with pytest.raises(StudyError, match="contains 7 studies"):
        read_study(tmp_path / "seven")


@pytest.mark.parametrize(
    ("names", "studies"),
    [(["patient01.png", "patient02.jpg"], 2), (["pa.png", "lateral.tif"], 1), (["image_1.png", "image_2.png"], 1)],
)
def test_names_decide_whether_two_pictures_are_one_study(tmp_path: Path, names: list[str], studies: int) -> None:
    write_pictures(tmp_path, *names)
    assert len(read_studies(tmp_path).studies) == studies
    joined = read_studies(tmp_path, as_study=True)
    assert [(study.name, len(study.images)) for study in joined.studies] == [(tmp_path.name, 2)]
    assert joined.notices == ()
    assert len(read_study(tmp_path, as_study=True).images) == 2


def test_pictures_are_joined_without_a_word_only_if_their_names_are_views(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p1", "pa.png", "lateral.png")
    assert read_studies(tmp_path).notices == ()
    write_pictures(tmp_path / "p2", "1.png", "2.png")
    write_pictures(tmp_path / "p3", "a.png", "b.png", "c.png")
    (notice,) = read_studies(tmp_path).notices
    assert notice.startswith(f"{tmp_path / 'p2'} and 1 more: the 5 images are read as one study")


def test_equal_pictures_of_a_study_count_once(tmp_path: Path) -> None:
    (path,) = write_pictures(tmp_path, "image_1.png")
    (tmp_path / "image_2.png").write_bytes(path.read_bytes())
    assert len(read_study(tmp_path).images) == 1


def test_a_dicom_file_beside_pictures_is_no_picture(tmp_path: Path) -> None:
    write_pictures(tmp_path, "pa.png", "lateral.png")
    write_dicom(tmp_path / "a.dcm")
    assert sorted(len(study.images) for study in read_studies(tmp_path).studies) == [1, 2]
