"""Read how an image was acquired from a DICOM header: its modality, and whether its pixels are raw detector values."""

from __future__ import annotations

from pydicom import Dataset, uid

from report_gen.imaging.attributes import text_value
from report_gen.records import Study

SLICE_MODALITIES = frozenset({"CT", "MR", "PT", "NM"})
"""Modalities (PS3.3 C.7.3.1.1.1) whose series are the slices of a volume."""

PROJECTION_MODALITIES = frozenset({"CR", "DX", "IO", "MG", "PX", "RF", "RG", "RTIMAGE", "XA"})
"""Modalities whose images are projections through the patient. Their multi-frame objects may be slices as well."""

UNINFORMATIVE_MODALITIES = frozenset({"OT", "SC"})
"""Modalities that say how an image was exported, not how it was acquired: other, secondary capture."""

DEFINED_MODALITIES = frozenset(
    [
        "BI",
        "BMD",
        "CR",
        "CT",
        "DG",
        "DMS",
        "DX",
        "ECG",
        "ES",
        "GM",
        "IO",
        "IVOCT",
        "IVUS",
        "KER",
        "LEN",
        "LS",
        "MG",
        "MR",
        "NM",
        "OAM",
        "OCT",
        "OP",
        "OPM",
        "OPT",
        "OPTBSV",
        "OPTENF",
        "OPV",
        "OSS",
        "OT",
        "PA",
        "PT",
        "PX",
        "RF",
        "RG",
        "RTDOSE",
        "RTIMAGE",
        "SC",
        "SEG",
        "SM",
        "SMR",
        "SR",
        "TG",
        "US",
        "VA",
        "XA",
        "XC",
    ]
)
"""Defined terms of images (PS3.3 C.7.3.1.1.1) that a message may quote. Any other text may identify the patient."""

_MODALITY_OF_CLASS: dict[str, str] = {
    sop_class: modality
    for modality, sop_classes in {
        "CT": (uid.CTImageStorage, uid.EnhancedCTImageStorage, uid.LegacyConvertedEnhancedCTImageStorage),
        "MR": (
            uid.MRImageStorage,
            uid.EnhancedMRImageStorage,
            uid.EnhancedMRColorImageStorage,
            uid.LegacyConvertedEnhancedMRImageStorage,
        ),
        "PT": (
            uid.PositronEmissionTomographyImageStorage,
            uid.EnhancedPETImageStorage,
            uid.LegacyConvertedEnhancedPETImageStorage,
        ),
        "NM": (uid.NuclearMedicineImageStorage,),
        "US": (uid.UltrasoundImageStorage, uid.UltrasoundMultiFrameImageStorage),
        "MG": (
            uid.DigitalMammographyXRayImageStorageForPresentation,
            uid.DigitalMammographyXRayImageStorageForProcessing,
            uid.BreastTomosynthesisImageStorage,
            uid.BreastProjectionXRayImageStorageForPresentation,
            uid.BreastProjectionXRayImageStorageForProcessing,
        ),
        "IO": (uid.DigitalIntraOralXRayImageStorageForPresentation, uid.DigitalIntraOralXRayImageStorageForProcessing),
        "XA": (uid.XRayAngiographicImageStorage, uid.EnhancedXAImageStorage),
        "RF": (uid.XRayRadiofluoroscopicImageStorage, uid.EnhancedXRFImageStorage),
        "RTIMAGE": (uid.RTImageStorage,),
        "XC": (uid.VLPhotographicImageStorage, uid.VideoPhotographicImageStorage),
        "ES": (uid.VLEndoscopicImageStorage, uid.VideoEndoscopicImageStorage),
        "GM": (uid.VLMicroscopicImageStorage, uid.VLSlideCoordinatesMicroscopicImageStorage),
        "SM": (uid.VLWholeSlideMicroscopyImageStorage,),
        "OP": (uid.OphthalmicPhotography8BitImageStorage, uid.OphthalmicPhotography16BitImageStorage),
        "CR": (uid.ComputedRadiographyImageStorage,),
        "DX": (uid.DigitalXRayImageStorageForPresentation, uid.DigitalXRayImageStorageForProcessing),
    }.items()
    for sop_class in sop_classes
}
"""Modality of the objects of a SOP class (PS3.4 B.5), for files that do not state a modality."""

_FOR_PROCESSING = frozenset(
    {
        uid.DigitalXRayImageStorageForProcessing,
        uid.DigitalMammographyXRayImageStorageForProcessing,
        uid.DigitalIntraOralXRayImageStorageForProcessing,
        uid.BreastProjectionXRayImageStorageForProcessing,
    }
)


def modality_of(dataset: Dataset) -> str | None:
    """Return Modality (0008,0060) in upper case; if it says nothing about the acquisition, that of the SOP class."""
    stated = (text_value(dataset, "Modality") or "").upper() or None
    if stated is None or stated in UNINFORMATIVE_MODALITIES:
        return _MODALITY_OF_CLASS.get(text_value(dataset, "SOPClassUID") or "", stated)
    return stated


def is_for_processing(dataset: Dataset) -> bool:
    """Return whether Presentation Intent Type (0008,0068) or the SOP class says that the pixels are raw values."""
    intent = (text_value(dataset, "PresentationIntentType") or "").upper()
    return intent == "FOR PROCESSING" or text_value(dataset, "SOPClassUID") in _FOR_PROCESSING


def has_slices(study: Study) -> bool:
    """Return whether a study has slices or frames, and not only radiographs and pictures."""
    return any(
        image.plane is not None or image.frame is not None or series.modality in SLICE_MODALITIES
        for series in study.series
        for image in series.images
    )
