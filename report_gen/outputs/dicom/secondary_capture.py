"""Write the key image of a draft, the radiograph with outlines of present findings, as a Secondary Capture image."""

from __future__ import annotations

import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import SecondaryCaptureImageStorage

from report_gen.outputs.dicom.attributes import (
    equipment_arguments,
    finish,
    header_errors,
    predecessor_reference,
    source_reference,
)
from report_gen.outputs.dicom.identity import ObjectIdentity, identify_object
from report_gen.outputs.document import DraftDocument
from report_gen.records import Laterality

_SERIES_NUMBER = 9604
_DERIVATION = "Outlines of the model's attention to present findings over the radiograph. Draft, not for diagnosis."


def format_dicom_sc(draft: DraftDocument) -> bytes:
    """Write the key image of a draft as a DICOM Secondary Capture image (PS3.3 A.8.1).

    The banner, the notices and the model are drawn into the image. An image has no Predecessor Documents Sequence, and
    no code says that an image replaces another one (PS3.16 CID 7201), so the earlier versions are Referenced Images
    (PS3.3 C.12.4), and the Derivation Description names the one that is replaced.

    Args:
        draft: The draft with its attention.

    Raises:
        StudyError: The source cannot be read or copied, or `revises` is no earlier version.
    """
    from report_gen.outputs.key_image import key_image

    identity = identify_object(
        draft,
        format_name="dicom-sc",
        sop_class_uid=SecondaryCaptureImageStorage,
        series_number=_SERIES_NUMBER,
    )
    pixels = key_image(draft)
    with header_errors(draft):
        dataset = _secondary_capture(draft, identity, pixels)
        _add_references(dataset, draft, identity)
        return finish(dataset, draft)


def _secondary_capture(draft: DraftDocument, identity: ObjectIdentity, pixels: NDArray[np.uint8]) -> Dataset:
    """Return an image with pixels [H,W,3], without references to other images."""
    arguments = equipment_arguments(draft, identity, kind="key image")
    time = arguments.pop("content_time")
    date = arguments.pop("content_date")
    dataset = SCImage(
        pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        study_instance_uid=str(draft.source.attributes.StudyInstanceUID),
        series_instance_uid=identity.series_instance_uid,
        series_number=identity.series_number,
        sop_instance_uid=identity.sop_instance_uid,
        instance_number=identity.version,
        **arguments,
    )
    dataset.ContentDate, dataset.ContentTime = date.strftime("%Y%m%d"), time.strftime("%H%M%S")
    dataset.DateOfSecondaryCapture, dataset.TimeOfSecondaryCapture = dataset.ContentDate, dataset.ContentTime
    dataset.PatientOrientation = []  # type 2C, PS3.3 C.7.6.1: unknown, the key image has texts beside the radiograph
    dataset.ImageLaterality = _laterality(draft)  # PS3.3 C.7.6.1
    dataset.ConversionType = "WSD"  # workstation (PS3.3 C.8.6.1)
    dataset.BurnedInAnnotation = "YES"  # the banner, and what the radiograph may show
    return dataset


def _add_references(dataset: Dataset, draft: DraftDocument, identity: ObjectIdentity) -> None:
    """Set the General Reference Module (PS3.3 C.12.4): the radiograph, and earlier versions of this one."""
    dataset.DerivationDescription = _DERIVATION
    if draft.source.dicom_images:
        operation = codes.DCM.SourceImageForImageProcessingOperation  # CID 7202
        dataset.SourceImageSequence = [source_reference(draft.source.dicom_images[0], operation)]
    if identity.predecessors:
        dataset.ReferencedImageSequence = list(map(predecessor_reference, identity.predecessors))
        dataset.DerivationDescription += f" Replaces the image {identity.predecessors[-1].sop_instance_uid}."


def _laterality(draft: DraftDocument) -> str:
    """Return the side of the body part. A body part without a stated side counts as unpaired, such as a chest."""
    laterality = draft.study.images[0].laterality
    return Laterality.UNPAIRED.value if laterality is Laterality.UNKNOWN else laterality.value
