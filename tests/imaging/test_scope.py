"""The scope of a model against the attributes of a header: what is refused, left out, or passes as unknown."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MRImageStorage,
)

from report_gen.config import ScopeConfig
from report_gen.errors import ScopeError
from report_gen.imaging import read_study
from report_gen.imaging.scope import accepts_view, apply_scope, confirmed_images
from report_gen.records import Image, Series, SlicePlane, Study, ViewPosition
from tests.dicom_files import write_dicom

CHEST = ScopeConfig(
    modalities=("CR", "DX"), body_parts=("chest",), views=("PA", "AP", "FRONTAL"), min_age=16, max_age=110, max_images=3
)
"""A scope with every limit."""


def chest_file(path: Path, **attributes: Any) -> Study:
    """Write a chest radiograph with these DICOM attributes, None for an absent one, and read it."""
    values = {"Modality": "DX", "BodyPartExamined": "CHEST", "ViewPosition": "PA"} | attributes
    return read_study(write_dicom(path, np.arange(64, dtype=np.uint16).reshape(8, 8), **values))


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize("body_part", [["CHEST", "FOOT"], "CHEST/FOOT", "FOOT_CHEST"])
def test_a_second_body_part_is_noticed_and_does_not_confirm_the_image(
    tmp_path: Path, body_part: str | list[str]
) -> None:
    study = chest_file(tmp_path / "a.dcm", BodyPartExamined=body_part)
    (notice,) = apply_scope(study, CHEST).notices
    assert "Body Part Examined names chest, foot; check that the image shows the chest" in notice
    assert not confirmed_images(study, CHEST)
    one = chest_file(tmp_path / "b.dcm")
    assert apply_scope(one, CHEST).notices == ()
    assert confirmed_images(one, CHEST)


def code(meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99TEST", meaning
    return Sequence([item])


@pytest.mark.filterwarnings("ignore:(Invalid value for VR|The value length)")  # files with values of other spellings
@pytest.mark.parametrize(
    ("attributes", "rule"),
    [
        ({"Modality": "MG"}, "modality"),
        ({"Modality": "CT", "ViewPosition": None}, "modality"),
        ({"BodyPartExamined": "ANKLE"}, "body-part"),
        ({"BodyPartExamined": "KNEE_LT"}, "body-part"),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": code("Hand")}, "body-part"),
        ({"BodyPartExamined": None, "StudyDescription": "XR HAND"}, "body-part"),
        ({"BodyPartExamined": None, "SeriesDescription": "Ankle lateral", "ViewPosition": "AP"}, "body-part"),
        ({"BodyPartExamined": None, "ProtocolName": "LWS ap"}, "body-part"),
        ({"BodyPartExamined": None, "StudyDescription": "Radiografía de mano derecha"}, "body-part"),
        ({"BodyPartExamined": "TSPINE"}, "body-part"),
        ({"ViewPosition": "LL"}, "view"),
        ({"PatientAge": "002Y"}, "age"),
        ({"PatientAge": "003D"}, "age"),
        ({"PatientAge": "120Y"}, "age"),
        ({"PatientBirthDate": "20240101", "StudyDate": "20260101"}, "age"),
        ({"Modality": "SMITH"}, "modality"),
        ({"PatientSpeciesDescription": "Canis lupus familiaris"}, "species"),
        ({"PatientSpeciesCodeSequence": code("Cat")}, "species"),
        ({"QualityControlImage": "YES"}, "quality-control"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "for-processing"),
        ({"PresentationIntentType": "For Processing"}, "for-processing"),
        ({"SOPClassUID": DigitalXRayImageStorageForProcessing}, "for-processing"),
        ({"QualityControlImage": "Yes"}, "quality-control"),
        ({"Modality": None, "SOPClassUID": CTImageStorage}, "modality"),
        ({"Modality": "OT", "SOPClassUID": MRImageStorage}, "modality"),
        ({"Modality": None, "SOPClassUID": DigitalMammographyXRayImageStorageForPresentation}, "modality"),
        ({"Modality": "CT", "PatientAge": "000Y", "PatientSpeciesDescription": "Dog"}, "modality"),
        ({"PatientSpeciesDescription": "non-human primate"}, "species"),
        ({"PatientSpeciesDescription": "Hund"}, "species"),
        ({"PatientSpeciesDescription": "Homo sapiens", "PatientSpeciesCodeSequence": code("Cat")}, "species"),
        ({"PatientBreedDescription": "Labrador"}, "species"),
        ({"PatientAge": "2"}, "age"),
        ({"PatientAge": "000Y"}, "age"),
        ({"PatientAge": "000Y", "PatientBirthDate": "20230101", "StudyDate": "20240101"}, "age"),
        ({"PatientBirthDate": "20240101", "SeriesDate": "20240301"}, "age"),
        ({"PatientBirthDate": "20240101", "AcquisitionDate": "20240301"}, "age"),
        ({"PatientBirthDate": "20240101", "ContentDate": "20240301"}, "age"),
        ({"BodyPartExamined": None, "StudyDescription": "XR CHEST", "SeriesDescription": "HAND"}, "body-part"),
        ({"BodyPartExamined": "FACE"}, "body-part"),
    ],
)
def test_a_study_outside_the_scope_is_refused_and_can_be_forced(
    attributes: dict[str, Any], rule: str, tmp_path: Path
) -> None:
    found = chest_file(tmp_path / "a.dcm", **attributes)
    with pytest.raises(
        ScopeError, match=rf"a\.dcm: outside the scope of the model \[{rule}\]: .*; force=True"
    ) as error:
        apply_scope(found, CHEST)
    assert (error.value.code, error.value.exit_code) == (rule, 3)
    assert not re.search("canis|cat|smith", str(error.value), re.IGNORECASE)  # free text may identify the patient
    forced = apply_scope(found, CHEST, force=True)
    assert forced.study == found
    assert forced.notices[0].startswith(f"FORCED DRAFT: outside the scope of the model [{rule}]: ")


@pytest.mark.filterwarnings("ignore:(Invalid value for VR|The value length)")  # files with values of other spellings
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"Modality": None, "BodyPartExamined": None, "ViewPosition": None},
        {"Modality": "OT"},  # says nothing about how the image was acquired
        {"BodyPartExamined": "UNDEFINED"},
        {"BodyPartExamined": "CHESTABDOMEN"},
        {"BodyPartExamined": None, "StudyDescription": "XR CHEST AND RIBS LEFT"},
        {"Modality": "dx"},
        {"BodyPartExamined": None, "StudyDescription": "XR CHEST", "SeriesDescription": "AP HEAD UP 30"},
        {"BodyPartExamined": None, "StudyDescription": "XR CHEST PA", "SeriesDescription": "LEFT ARM UP"},
        {"BodyPartExamined": None, "StudyDescription": "Tórax", "SeriesDescription": "AP de pie"},
        {"SeriesDescription": "Thorax face"},
        {"PatientAge": "000Y", "PatientBirthDate": "19500101", "StudyDate": "20240101"},
        {"PatientSpeciesDescription": "Mensch"},
        {"PatientSpeciesDescription": "Humain"},
        {"PatientSpeciesDescription": "Unknown"},
        {"PatientAge": "016Y"},
        {"PatientAge": ""},
        {"PatientSpeciesDescription": "Homo sapiens"},
        {"PatientSpeciesCodeSequence": code("homo sapiens")},
        {"QualityControlImage": "NO"},
        {"PresentationIntentType": "FOR PRESENTATION"},
    ],
)
def test_a_study_of_the_scope_or_of_unknown_kind_passes(attributes: dict[str, Any], tmp_path: Path) -> None:
    found = chest_file(tmp_path / "a.dcm", **attributes)
    assert apply_scope(found, CHEST) == apply_scope(found, CHEST, force=True)
    assert apply_scope(found, CHEST).study == found
    assert apply_scope(found, CHEST).notices == ()


def test_a_model_without_limits_refuses_only_what_nobody_should_read(tmp_path: Path) -> None:
    anything = ScopeConfig(humans_only=False)
    dog = chest_file(
        tmp_path / "dog.dcm", Modality="MG", BodyPartExamined="PAW", PatientAge="002D", PatientSpeciesDescription="Dog"
    )
    assert apply_scope(dog, anything).notices == ()
    with pytest.raises(ScopeError, match=r"\[for-processing\]"):
        apply_scope(chest_file(tmp_path / "raw.dcm", PresentationIntentType="FOR PROCESSING"), anything)


def image(name: str, view: ViewPosition = ViewPosition.PA) -> Image:
    return Image(path=Path("study", name), sha256=name, rows=8, columns=8, view_position=view)


def series(*names: str, **changes: Any) -> Series:
    return Series(images=tuple(map(image, names)), **{"modality": "DX", "body_part": "CHEST"} | changes)


def test_images_of_another_body_part_are_left_out_of_a_study() -> None:
    mixed = Study(name="mixed", series=(series("chest.dcm"), series("hand.dcm", body_part="HAND")))
    for force in (False, True):
        scoped = apply_scope(mixed, CHEST, force=force)
        assert [kept.path.name for kept in scoped.study.images] == ["chest.dcm"]
        assert scoped.notices == ("1 of 2 images left out: the header names hand, and the model was made for chest",)


@pytest.mark.parametrize("force", [False, True])
def test_volumes_and_too_many_images_are_refused_even_if_forced(force: bool) -> None:
    """These limits protect the memory, so nothing lifts them."""
    slices = Study(name="ct", series=(series(*(f"{n}.dcm" for n in range(600)), modality="CT"),))
    tomography = CHEST.model_copy(update={"modalities": ("CT",)})
    with pytest.raises(
        ScopeError, match=r"study: .* \[volume\]: 600 CT images in one study; volumes are not supported"
    ):
        apply_scope(slices, tomography, force=force)
    many = Study(name="many", series=(series("1", "2", "3", "4"),))
    with pytest.raises(ScopeError, match=r"\[image-count\]: 4 images in one study, and the limit is 3; give fewer"):
        apply_scope(many, CHEST, force=force)


@pytest.mark.parametrize("modality", [None, "DX", "US"])
def test_frames_and_slices_of_any_modality_are_refused(modality: str | None) -> None:
    """A NIfTI has no modality, and a cine has that of a projection or of ultrasound."""
    cine = Study(
        name="cine",
        series=(Series(images=tuple(replace(image("a.dcm"), frame=n) for n in range(30)), modality=modality),),
    )
    with pytest.raises(ScopeError, match=r"study.a\.dcm: .* \[volume\]: 30 slices or frames in one study; volumes and"):
        apply_scope(cine, ScopeConfig(), force=True)
    plane = SlicePlane(position=(0, 0, 0), row_direction=(1, 0, 0), column_direction=(0, 1, 0), spacing=(1, 1))
    slices = tuple(replace(image(f"{n}.dcm"), plane=plane) for n in range(2))
    volume = Study(name="volume", series=(Series(images=slices, modality=modality),))
    with pytest.raises(ScopeError, match="2 slices or frames in one study"):
        apply_scope(volume, ScopeConfig())


def test_frames_of_one_file_are_not_confused() -> None:
    frames = tuple(replace(image("a.dcm"), frame=number, for_processing=number == 1) for number in range(3))
    study = Study(name="s", series=(Series(images=frames, modality="DX", body_part="CHEST"),))
    assert study.path == Path("study", "a.dcm")
    assert study.with_images([frames[2]]).images == (frames[2],)
    assert confirmed_images(study, CHEST) == {(Path("study", "a.dcm"), number) for number in range(3)}


def test_slices_in_a_series_each_are_a_volume() -> None:
    slices = Study(name="ct", series=tuple(series(f"{number}.dcm", modality="CT") for number in range(3)))
    with pytest.raises(ScopeError, match=r"\[volume\]: 3 CT images in one study"):
        apply_scope(slices, CHEST.model_copy(update={"modalities": ("CT",)}))


def test_a_refusal_names_force_only_where_force_drafts_the_study() -> None:
    one = Study(name="ct", series=(series("1", modality="CT"),))
    slices = Study(name="ct", series=(series("1", "2", modality="CT"),))
    hands = Study(name="hands", series=(series("1", "2", "3", "4", body_part="HAND"),))
    for found, code_of_force in ((one, None), (slices, "volume"), (hands, "image-count")):
        with pytest.raises(ScopeError) as error:
            apply_scope(found, CHEST)
        assert error.value.code in ("modality", "body-part")
        assert ("force=True" in str(error.value)) is (code_of_force is None)
        if code_of_force:
            with pytest.raises(ScopeError) as error:
                apply_scope(found, CHEST, force=True)
            assert error.value.code == code_of_force


@pytest.mark.parametrize(
    ("attributes", "listed"),
    [
        (
            {"SeriesDescription": "HAND AP", "StudyDescription": "XR HAND LEFT"},
            "Body Part Examined names chest, Series Description or Protocol Name names hand, "
            "Study Description names hand",
        ),
        (
            {"ProtocolName": "Abdomen supine"},
            "Body Part Examined names chest, Series Description or Protocol Name names abdomen",
        ),
        ({"StudyDescription": "HAND"}, "Body Part Examined names chest, Study Description names hand"),
        (
            {"AnatomicRegionSequence": code("Knee")},
            "Body Part Examined names chest, Anatomic Region Sequence names leg",
        ),
    ],
)
def test_a_contradicting_header_gives_a_notice_and_confirms_nothing(
    attributes: dict[str, Any], listed: str, tmp_path: Path
) -> None:
    found = chest_file(tmp_path / "a.dcm", **attributes)
    notice = f"the header contradicts itself: {listed}; check that the image shows the chest"
    assert apply_scope(found, CHEST).notices == (notice,)
    assert confirmed_images(found, CHEST) == frozenset()


def test_a_draft_says_which_images_cannot_be_read() -> None:
    for unreadable, words in ((1, "1 of 3 images cannot be read and is"), (2, "2 of 4 images cannot be read and are")):
        found = Study(name="s", series=(series("a", "b"),), unreadable_images=unreadable)
        assert apply_scope(found, CHEST).notices == (f"{words} not in this draft",)


def test_one_slice_of_a_modality_of_the_scope_passes() -> None:
    one = Study(name="ct", series=(series("1.dcm", modality="CT"),))
    assert apply_scope(one, CHEST.model_copy(update={"modalities": ("CT",)})).study == one


def test_a_series_of_another_modality_does_not_count() -> None:
    """A chest radiograph with a CT of the same study is drafted; the slices are left out before they are counted."""
    mixed = Study(name="mixed", series=(series("a"), series(*map(str, range(50)), modality="CT")))
    scoped = apply_scope(mixed, CHEST)
    assert [kept.path.name for kept in scoped.study.images] == ["a"]
    assert scoped.notices == ("50 of 51 images left out: the modality is CT, and the model was made for CR, DX",)


def test_headers_that_state_modality_and_body_part_confirm_an_image() -> None:
    found = Study(
        name="s",
        series=(
            series("a"),
            series("b", body_part=None, descriptions=("CHEST PA",)),
            series("c", body_part=None),
            series("d", modality=None),
        ),
    )
    assert {path.name for path, _ in confirmed_images(found, CHEST)} == {"a", "b"}


@pytest.mark.parametrize(
    ("accepted", "view", "expected"),
    [
        ((), ViewPosition.LATERAL, True),
        (("PA",), ViewPosition.FRONTAL, True),
        (("FRONTAL",), ViewPosition.AP, True),
        (("PA",), ViewPosition.AP, False),
        (("PA", "LATERAL"), ViewPosition.LATERAL, True),
        (("PA",), ViewPosition.OBLIQUE, False),
    ],
)
def test_views_are_accepted(accepted: tuple[str, ...], view: ViewPosition, expected: bool) -> None:
    assert accepts_view(accepted, view) is expected


@pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom, which writes these values all the same
def test_free_text_in_a_coded_attribute_is_cut_and_cleaned_in_a_message(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", Modality="DOE\x1b]0;x\x07 " * 1000, BodyPartExamined="CHEST")
    with pytest.raises(ScopeError) as refused:
        apply_scope(read_study(path), ScopeConfig(modalities=("CR", "DX")))
    assert len(refused.value.reason) < 200
    assert refused.value.reason.isprintable()
    (notice,) = apply_scope(read_study(path), ScopeConfig(modalities=("CR", "DX")), force=True).notices
    assert len(notice) < 200


@pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom, which writes these values all the same
def test_a_header_text_is_cut_to_the_longest_that_the_standard_allows(tmp_path: Path) -> None:
    """LT has at most 10,240 characters (PS3.5 6.2). Cleaning a text of 30 million took 13 seconds."""
    history = "Cough and fever. " * 2_000_000
    study = read_study(write_dicom(tmp_path / "a.dcm", AdditionalPatientHistory=history, PatientID="x" * 10**6))
    assert study.indication == history[:10_240].strip()
    assert study.patient_id == "x" * 10_240
