"""Frames of multi-frame DICOM files: enhanced objects, compared with SimpleITK and highdicom, and cines."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    NuclearMedicineImageStorage,
    RLELossless,
    UltrasoundMultiFrameImageStorage,
)

from report_gen.errors import StudyError
from report_gen.imaging import load_image, load_many, load_pixels, load_values, read_pixels, read_studies, read_study
from report_gen.records import Study
from tests.dicom_files import dicom
from tests.volume_files import OBLIQUE, enhanced, frame_groups, item, slices, written

ORDER = (3, 0, 4, 1, 2)
RESCALES = tuple((1 + number / 4, -10.0 * number) for number in range(5))
SYNTAXES = (
    *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian),
    *(RLELossless, JPEGLSLossless, JPEG2000Lossless),
)


def saved(path: Path, dataset: FileDataset) -> Study:
    dataset.save_as(path)
    return read_study(path)


# ---- enhanced objects ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_shuffled_frames_with_a_rescale_each(tmp_path: Path, syntax: UID, dtype: Any) -> None:
    volume = slices(5, dtype=dtype)
    if syntax == ExplicitVRBigEndian:
        volume = volume.astype(volume.dtype.newbyteorder(">"))
    dataset = enhanced(
        volume, order=ORDER, rescales=RESCALES, syntax=syntax, orientation=OBLIQUE, spacing=(0.7, 0.9), step=2.5
    )
    images = saved(tmp_path / "a.dcm", dataset).images
    assert [image.frame for image in images] == [0, 1, 2, 3, 4]
    assert len({image.key for image in images}) == 5
    for values, image, index, (slope, intercept) in zip(load_many(images), images, ORDER, RESCALES, strict=True):
        np.testing.assert_allclose(values, volume[index] * slope + intercept, rtol=1e-6)
        assert image.plane is not None
        expected = np.array([-10, 20, -30]) + index * 2.5 * np.array([-0.48, 0.64, 0.6])
        np.testing.assert_allclose(image.plane.position, expected, atol=1e-6)
        assert (image.plane.spacing, image.plane.thickness) == ((0.7, 0.9), 2.5)
        assert image.image_type == ("ORIGINAL", "PRIMARY", "VOLUME", "NONE")
    np.testing.assert_array_equal(load_values(images[2]), list(load_many(images))[2])


def test_lossless_jpeg_of_gdcm(tmp_path: Path) -> None:
    """Many CT archives use it. Its frames share one child process."""
    import gdcm

    enhanced(slices(3, 64, 64)).save_as(tmp_path / "raw.dcm")
    reader = gdcm.ImageReader()
    reader.SetFileName(str(tmp_path / "raw.dcm"))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(tmp_path / "a.dcm"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    assert dcmread(tmp_path / "a.dcm").file_meta.TransferSyntaxUID == JPEGLosslessSV1
    images = read_study(tmp_path / "a.dcm").images
    np.testing.assert_array_equal(list(load_many(images)), slices(3, 64, 64) - 1024.0)


def test_frames_of_floating_point_pixels(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    dataset = cine(frames, PixelData=None, FloatPixelData=frames.tobytes(), BitsStored=None, Modality="OT")
    np.testing.assert_array_equal(list(load_many(saved(tmp_path / "a.dcm", dataset).images)), frames)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_overlay_bits_and_polarity_of_frames(tmp_path: Path, photometric: str) -> None:
    volume = slices(2, dtype=np.uint16, top=4096)
    overlay = volume | np.uint16(0x8000) * (np.indices(volume.shape).sum(axis=0) % 7 == 0)
    dataset = enhanced(overlay.astype(np.uint16), BitsStored=12, PhotometricInterpretation=photometric)
    images = saved(tmp_path / "a.dcm", dataset).images
    np.testing.assert_array_equal(list(load_many(images)), volume - 1024.0)
    brightest = volume[1].argmax() if photometric == "MONOCHROME2" else volume[1].argmin()
    assert load_pixels(images[1]).ravel()[brightest] == 1


def test_geometry_and_values_are_those_of_simpleitk(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    dataset = enhanced(slices(5), orientation=OBLIQUE, spacing=(0.7, 0.9), step=2.5)
    images = saved(tmp_path / "a.dcm", dataset).images
    judge = sitk.ReadImage(str(tmp_path / "a.dcm"), sitk.sitkFloat64)
    np.testing.assert_allclose(list(load_many(images)), sitk.GetArrayFromImage(judge))
    for number, image in enumerate(images):
        plane = image.plane
        assert plane is not None
        np.testing.assert_allclose(plane.position, judge.TransformIndexToPhysicalPoint((0, 0, number)), atol=1e-5)
        corner = np.asarray(plane.position) + 35 * 0.9 * np.array(plane.row_direction)
        corner = corner + 39 * 0.7 * np.array(plane.column_direction)
        np.testing.assert_allclose(corner, judge.TransformIndexToPhysicalPoint((35, 39, number)), atol=1e-5)
        np.testing.assert_allclose(
            [*plane.row_direction, *plane.column_direction, *plane.normal],
            np.array(judge.GetDirection()).reshape(3, 3).T.ravel(),
            atol=1e-6,
        )


def test_frames_and_positions_are_those_of_highdicom(tmp_path: Path) -> None:
    """highdicom sorts the frames by their positions and applies the rescale of each."""
    hd = pytest.importorskip("highdicom")
    dataset = enhanced(slices(5), order=ORDER, rescales=RESCALES, orientation=OBLIQUE, spacing=(0.7, 0.9))
    images = saved(tmp_path / "a.dcm", dataset).images
    judge = hd.imread(tmp_path / "a.dcm")
    for number, values in enumerate(load_many(images)):
        np.testing.assert_allclose(values, judge.get_frame(number + 1, apply_real_world_transform=False), rtol=1e-6)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("undefined", [False, True])
def test_sequences_of_defined_and_undefined_length(tmp_path: Path, syntax: UID, undefined: bool) -> None:
    volume = slices(3, dtype=">i2" if syntax == ExplicitVRBigEndian else "<i2")
    dataset = enhanced(volume, syntax=syntax)
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        dataset[keyword].is_undefined_length = undefined
        for group in dataset[keyword].value:
            group.is_undefined_length_sequence_item = undefined
            for element in group:
                element.is_undefined_length = undefined
    images = saved(tmp_path / "a.dcm", dataset).images
    np.testing.assert_allclose(list(load_many(images)), volume.astype(float) - 1024)
    assert [image.plane and image.plane.position[2] for image in images] == [-30, -27.5, -25]


def test_what_distinguishes_frames_of_one_place(tmp_path: Path) -> None:
    per_frame = [
        {
            "FrameContentSequence": item(
                FrameAcquisitionNumber=7,
                TemporalPositionIndex=number + 1,
                FrameAcquisitionDateTime=f"2024013100000{number}.5",
            ),
            "MREchoSequence": item(EffectiveEchoTime=4.5 * (number + 1)),
            "MRDiffusionSequence": item(DiffusionBValue=500.0 * number),
            "CardiacSynchronizationSequence": item(NominalCardiacTriggerDelayTime=10.0 * number),
            "ContrastBolusUsageSequence": item(ContrastBolusAgentAdministered=("NO", "YES", "YES")[number]),
            "MRImageFrameTypeSequence": item(
                FrameType=["ORIGINAL", "PRIMARY", "M", "NONE"], ComplexImageComponent=("MAGNITUDE", "PHASE", "")[number]
            ),
        }
        for number in range(3)
    ]
    shared = {"CTImageFrameTypeSequence": item()}
    study = saved(tmp_path / "a.dcm", enhanced(slices(3), per_frame=per_frame, shared=shared, Modality="MR"))
    found = [image.acquisition for image in study.images]
    assert [one and one.number for one in found] == [7, 7, 7]
    assert [one and one.temporal_position for one in found] == [1, 2, 3]
    assert [one and one.echo_time for one in found] == [4.5, 9, 13.5]
    assert [one and one.b_value for one in found] == [0, 500, 1000]
    assert [one and one.trigger_time for one in found] == [0, 10, 20]
    assert [one and one.contrast_agent for one in found] == [False, True, True]
    assert [one and one.kind for one in found] == ["M\\NONE", "M\\NONE\\PHASE", "M\\NONE"]
    assert [one and one.seconds for one in found] == [0.5, 1.5, 2.5]


def test_each_frame_is_displayed_with_its_window(tmp_path: Path) -> None:
    """Values 0, 100, 200, 300; the windows are linear from 0 to 200 and from 100 to 300 (PS3.3 C.11.2.1.3.2)."""
    volume = np.tile(np.array([0, 100, 200, 300], np.int16), (2, 4, 1))
    windows = [item(WindowCenter=center, WindowWidth=200, VOILUTFunction="LINEAR_EXACT") for center in (100, 200)]
    per_frame = [{"FrameVOILUTSequence": window} for window in windows]
    dataset = enhanced(volume, per_frame=per_frame, rescales=[(1, 0)] * 2)
    images = saved(tmp_path / "a.dcm", dataset).images
    first, second = load_many(images, display=True)
    assert first[0] == pytest.approx([0, 0.5, 1, 1], abs=1e-4)
    assert second[0] == pytest.approx([0, 0, 0.5, 1], abs=1e-4)
    np.testing.assert_array_equal(load_pixels(images[1]), second)


def test_a_frame_without_a_plane_says_why_and_the_others_keep_theirs(tmp_path: Path) -> None:
    dataset = enhanced(slices(3))
    del dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence
    images = saved(tmp_path / "a.dcm", dataset).images
    assert [image.plane is None for image in images] == [False, True, False]
    assert images[1].plane_problem == "Image Position (Patient) is missing"


def test_tomosynthesis_has_planes_although_it_is_mammography(tmp_path: Path) -> None:
    images = saved(tmp_path / "a.dcm", enhanced(slices(2, dtype=np.uint16), Modality="MG")).images
    assert all(image.plane for image in images)


# ---- contradictions -----------------------------------------------------------------------------------------------


def test_fewer_groups_than_frames_are_refused_and_further_ones_ignored(tmp_path: Path) -> None:
    dataset = enhanced(slices(3))
    dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:2]
    with pytest.raises(StudyError, match=r"malformed: 3 frames, but functional groups of 2; export it again"):
        saved(tmp_path / "a.dcm", dataset)
    dataset = enhanced(slices(3))
    dataset.PerFrameFunctionalGroupsSequence.append(frame_groups((0, 0, 0), 3))
    assert len(saved(tmp_path / "a.dcm", dataset).images) == 3


def test_a_file_of_several_frames_is_no_single_image(tmp_path: Path) -> None:
    (image, *_) = saved(tmp_path / "a.dcm", enhanced(slices(3))).images
    with pytest.raises(StudyError, match="has 3 frames, and one image is expected"):
        read_pixels(tmp_path / "a.dcm")
    written(slices(1)[0]).save_as(tmp_path / "a.dcm")
    with pytest.raises(StudyError, match="has 1 frames, but not frame 2; read the study again"):
        load_values(type(image)(path=image.path, sha256="", rows=1, columns=1, frame=2))


@pytest.mark.parametrize("kept", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_truncated_frames_are_refused_undecoded(tmp_path: Path, syntax: UID, kept: float) -> None:
    path = tmp_path / "a.dcm"
    saved(path, enhanced(slices(3, 64, 64), syntax=syntax))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(StudyError, match=r"truncated|more frames"):
        read_study(path)


# ---- fragments of compressed frames -------------------------------------------------------------------------------


def fragmented(
    codestreams: Sequence[bytes], fragments: int, *, has_table: bool, offsets: Sequence[int] | None = None
) -> bytes:
    """Return encapsulated pixels with several fragments for each frame (PS3.5 A.4)."""
    encapsulated = bytearray(encapsulate(list(codestreams), fragments_per_frame=fragments, has_bot=has_table))
    for index, offset in enumerate(offsets or ()):
        encapsulated[8 + 4 * index : 12 + 4 * index] = offset.to_bytes(4, "little")
    return bytes(encapsulated)


def compressed_with(path: Path, **options: Any) -> tuple[NDArray[Any], Path]:
    volume = slices(3, 64, 64, dtype=np.uint16)
    dataset = enhanced(volume, syntax=JPEG2000Lossless)
    codestreams = list(generate_frames(dataset.PixelData, number_of_frames=3))
    dataset.PixelData = fragmented(codestreams, 4, **options)
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)
    return volume.astype(np.float64) - 1024, path


@pytest.mark.parametrize("has_table", [True, False])
def test_frames_of_several_fragments(tmp_path: Path, has_table: bool) -> None:
    expected, path = compressed_with(tmp_path / "a.dcm", has_table=has_table)
    np.testing.assert_allclose(list(load_many(read_study(path).images)), expected)


@pytest.mark.parametrize("offsets", [(0, 1, 2), (0, 0, 0), (0, 2**32 - 1, 8), (8, 16, 24), (2**31, 0, 0)])
def test_a_hostile_offset_table_is_ignored(tmp_path: Path, offsets: tuple[int, int, int]) -> None:
    """The ends of the codestreams decide; the judge reads the same file without its table."""
    expected, path = compressed_with(tmp_path / "a.dcm", has_table=True, offsets=offsets)
    np.testing.assert_allclose(list(load_many(read_study(path).images)), expected)


def test_fragments_that_fit_no_frames_are_refused(tmp_path: Path) -> None:
    dataset = enhanced(slices(3), syntax=RLELossless)
    rle = list(generate_frames(dataset.PixelData, number_of_frames=3))
    for codestreams, reason in (
        (rle[:2], r"the header states more frames \(3\) than the pixels have \(2\)"),
        ([*rle, rle[0]], "4 fragments of pixels do not belong to 3 frames"),
    ):
        dataset.PixelData = encapsulate(codestreams, has_bot=False)
        dataset["PixelData"].is_undefined_length = True
        with pytest.raises(StudyError, match=reason):
            saved(tmp_path / "a.dcm", dataset)


def test_one_frame_is_decoded_without_the_others(tmp_path: Path) -> None:
    """The other frames are damaged, which decoding them would show."""
    dataset = enhanced(slices(3, 64, 64), syntax=JPEG2000Lossless)
    codestreams = list(generate_frames(dataset.PixelData, number_of_frames=3))
    damaged = [codestreams[0][:60], codestreams[1], b"\xff" * 100]
    dataset.PixelData = encapsulate(damaged)
    images = saved(tmp_path / "a.dcm", dataset).images
    np.testing.assert_allclose(load_values(images[1]), slices(3, 64, 64)[1] - 1024.0)
    for broken in (images[0], images[2]):
        with pytest.raises(StudyError, match="malformed"):
            load_values(broken)


# ---- other multi-frame objects -------------------------------------------------------------------------------------


def cine(frames: NDArray[Any], syntax: UID = ExplicitVRLittleEndian, **attributes: Any) -> FileDataset:
    values = {
        "SOPClassUID": UltrasoundMultiFrameImageStorage,
        "Modality": "US",
        "NumberOfFrames": len(frames),
        "FrameTime": "40",
        "PixelData": frames.tobytes(),
    }
    return dicom(frames[0], syntax, **(values | attributes))


def test_a_color_cine_becomes_luma_with_times(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 6, 3), dtype=np.uint8)
    study = saved(tmp_path / "a.dcm", cine(frames, AcquisitionTime="100000"))
    expected = frames @ np.array([0.299, 0.587, 0.114]) / 255
    np.testing.assert_allclose(list(load_many(study.images)), expected, atol=1e-6)
    np.testing.assert_allclose(list(load_many(study.images, display=True)), expected, atol=1e-6)
    seconds = [image.acquisition.seconds for image in study.images if image.acquisition]
    assert seconds == pytest.approx([36000, 36000.04, 36000.08])
    assert (study.path, study.series[0].modality) == (tmp_path / "a.dcm", "US")
    assert all(image.plane is None and image.plane_problem is None for image in study.images)


@pytest.mark.parametrize(("rows", "columns"), [(3, 5), (4, 4), (7, 3)])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_frames_of_an_odd_number_of_bytes_follow_each_other(
    tmp_path: Path, syntax: UID, rows: int, columns: int
) -> None:
    """A big endian file stores bytes in words: the second pixel of a word precedes the first (PS3.5 8.1.1)."""
    frames = np.arange(5 * rows * columns, dtype=np.uint8).reshape(5, rows, columns)
    stored = frames.tobytes() + bytes(frames.size % 2)
    if syntax == ExplicitVRBigEndian:
        stored = np.frombuffer(stored, "<u2").astype(">u2").tobytes()
    dataset = cine(frames, syntax, PixelData=stored, FrameTime=None)
    dataset["PixelData"].VR = "OW"
    images = saved(tmp_path / "a.dcm", dataset).images
    np.testing.assert_array_equal(list(load_many(images)), frames)
    np.testing.assert_array_equal(load_values(images[3]), frames[3])


@pytest.mark.parametrize("columns", [8, 5, 3])
def test_frames_of_single_bits(tmp_path: Path, columns: int) -> None:
    """A frame may begin within a byte (PS3.5 8.1.1)."""
    frames = np.random.default_rng(0).integers(0, 2, (6, 3, columns), dtype=np.uint8)
    packed = np.packbits(frames.ravel(), bitorder="little").tobytes()
    dataset = cine(frames, BitsAllocated=1, BitsStored=1, PixelData=packed + bytes(len(packed) % 2), FrameTime=None)
    np.testing.assert_array_equal(list(load_many(saved(tmp_path / "a.dcm", dataset).images)), frames)


@pytest.mark.parametrize("spacing", [4.0, -4.0])
def test_reconstructed_slices_of_nuclear_medicine_lie_where_simpleitk_has_them(tmp_path: Path, spacing: float) -> None:
    """Their position is that of the first detector (PS3.3 C.8.4.15)."""
    frames = slices(4, dtype=np.uint16)
    dataset = nuclear(frames, SpacingBetweenSlices=spacing, SliceVector=[1, 2, 3, 4])
    images = saved(tmp_path / "a.dcm", dataset).images
    np.testing.assert_array_equal(list(load_many(images)), frames)
    normal = np.array([-0.48, 0.64, 0.6])
    for number, image in enumerate(images):
        assert image.plane is not None
        np.testing.assert_allclose(image.plane.position, np.array([-10, 20, -30]) + number * spacing * normal)
    if spacing > 0:  # SimpleITK does not stack in front of the first slice
        sitk = pytest.importorskip("SimpleITK")
        judge = sitk.ReadImage(str(tmp_path / "a.dcm"))
        for number, image in enumerate(images):
            assert image.plane is not None
            expected = judge.TransformIndexToPhysicalPoint((0, 0, number))
            np.testing.assert_allclose(image.plane.position, expected, atol=1e-5)


def test_gated_slices_of_nuclear_medicine(tmp_path: Path) -> None:
    vectors = {"TimeSlotVector": [1, 1, 2, 2], "SliceVector": [1, 2, 1, 2]}
    study = saved(tmp_path / "a.dcm", nuclear(slices(4, dtype=np.uint16), SpacingBetweenSlices=4, **vectors))
    assert [one.acquisition and one.acquisition.temporal_position for one in study.images] == [1, 1, 2, 2]
    planes = [one.plane for one in study.images]
    assert planes[:2] == planes[2:]
    assert planes[0] != planes[1]


def test_slices_of_nuclear_medicine_without_a_distance_have_no_plane(tmp_path: Path) -> None:
    study = saved(tmp_path / "a.dcm", nuclear(slices(2, dtype=np.uint16)))
    assert [one.plane for one in study.images] == [None, None]
    assert study.images[0].plane_problem == "Image Position (Patient) is missing"


def nuclear(frames: NDArray[Any], **attributes: Any) -> FileDataset:
    detector = item(ImagePositionPatient=[-10, 20, -30], ImageOrientationPatient=list(OBLIQUE))
    values = {
        "SOPClassUID": NuclearMedicineImageStorage,
        "Modality": "NM",
        "ImageType": ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"],
        "DetectorInformationSequence": [detector],
        "PixelSpacing": [3, 3],
        "FrameTime": None,
    }
    return cine(frames, **(values | attributes))


def test_samples_of_pydicom_with_two_frames() -> None:
    from pydicom.data import get_testdata_file

    for name in ("SC_rgb_rle_2frame.dcm", "SC_rgb_rle_16bit_2frame.dcm", "SC_rgb_rle_32bit_2frame.dcm"):
        path = get_testdata_file(name, download=False)
        frames = dcmread(path).pixel_array
        expected = frames / np.iinfo(frames.dtype).max @ np.array([0.299, 0.587, 0.114])
        found = list(load_many(read_study(path).images, display=True))
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_copies_of_a_file_of_frames_count_once(tmp_path: Path) -> None:
    volume = slices(3)
    enhanced(volume).save_as(tmp_path / "a.dcm")
    enhanced(volume, syntax=RLELossless).save_as(tmp_path / "b.dcm")
    assert [image.key for image in read_study(tmp_path).images] == [(tmp_path / "a.dcm", n) for n in range(3)]
    volume[2, 3, 4] += 500
    enhanced(volume).save_as(tmp_path / "b.dcm")
    with pytest.raises(StudyError, match="has the same SOP Instance UID"):
        read_study(tmp_path)
    enhanced(volume[:2]).save_as(tmp_path / "b.dcm")
    assert len(read_studies(tmp_path).refused) == 1


def test_the_notices_of_a_frame_are_its_own(tmp_path: Path) -> None:
    per_frame = [{"FrameVOILUTSequence": item(WindowCenter=center, WindowWidth=100)} for center in (500, 30000)]
    dataset = enhanced(slices(2, dtype=np.uint16), per_frame=per_frame, rescales=[(1, 0)] * 2)
    first, second = (load_image(image) for image in saved(tmp_path / "a.dcm", dataset).images)
    assert first.notices == ()
    assert "the window of the header shows the whole image black or white" in second.notices[0]


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path: Path) -> None:
    """The pixels of one frame are held at a time; a record takes some hundred bytes."""

    def peak(count: int) -> int:
        dataset = enhanced(np.tile(slices(1, 128, 128), (count, 1, 1)))
        dataset.save_as(tmp_path / f"{count}.dcm")
        del dataset
        tracemalloc.start()
        try:
            images = read_study(tmp_path / f"{count}.dcm").images
            assert sum(values.shape == (128, 128) for values in load_many(images)) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(2), peak(200)
    assert many < few + 200 * 3000  # the file has 6.5 MB, and 13 MB as floating-point numbers
