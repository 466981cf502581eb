"""Layout `openi`: the Indiana University collection (Demner-Fushman et al., JAMIA 2016) in the form of Open-i.

NLMCXR_reports.tgz, or the folder `ecgen-radiology` unpacked from it, with one XML file per study. The images, unpacked
from NLMCXR_png.tgz or NLMCXR_dcm.tgz, lie beside it. The archive of reports is read in memory and not unpacked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

from report_gen.corpora.archives import LARGEST_REPORT, tar_members, too_large
from report_gen.corpora.examples import Example, is_file
from report_gen.corpora.indiana import PROJECTIONS, read_projections
from report_gen.corpora.r2gen import FILE as ANNOTATION
from report_gen.corpora.r2gen import indiana_splits, indiana_uid
from report_gen.errors import CorpusError
from report_gen.records import ViewPosition

ARCHIVE, FOLDER = "NLMCXR_reports.tgz", "ecgen-radiology"
IMAGE_FOLDERS = ("images", "NLMCXR_png", "NLMCXR_dcm", "png", ".")

Views = dict[tuple[str, str], str]
"""View of each image by the numbers of its patient and of the image."""

_TEXTS = ("INDICATION", "COMPARISON", "FINDINGS", "IMPRESSION")


def matches(path: Path) -> bool:
    """Return whether a path has this layout."""
    if path.is_file():
        return path.name.endswith((".tgz", ".tar.gz"))
    return (path / ARCHIVE).is_file() or (path / FOLDER).is_dir() or path.name == FOLDER


def read(path: Path) -> Iterator[Example]:
    """Yield the studies with their existing images.

    The XML files specify neither views nor splits. Views come from the Kaggle projections and splits from an R2Gen
    annotation, if these files lie beside the reports.

    Raises:
        CorpusError: There are no reports, or one of them does not have the format of the collection.
    """
    source = next((source for source in (path / ARCHIVE, path / FOLDER) if source.exists()), path)
    folder = source.parent.resolve()
    folders = [folder / name for name in IMAGE_FOLDERS if (folder / name).is_dir()]
    views = _read_views(folder / PROJECTIONS)
    splits = indiana_splits(folder / ANNOTATION)
    reports = tar_members(source, ".xml") if source.is_file() else _read_folder(source)
    for name, data in reports:
        yield _example(_parse(data, f"{source}: {name}"), folders, views, splits)


def _read_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    files = sorted(file for file in folder.glob("*.xml") if file.is_file())
    if not files:
        raise CorpusError(f"{folder}: neither {ARCHIVE} nor a folder {FOLDER} with XML files found; check the path")
    for file in files:
        try:
            with file.open("rb") as opened:
                yield file.name, _read_all(opened, str(file))
        except OSError as error:
            raise CorpusError(f"{file}: cannot be read ({error.strerror}); check the file") from error


def _read_all(file: IO[bytes], location: str) -> bytes:
    data = file.read(LARGEST_REPORT + 1)
    if len(data) > LARGEST_REPORT:
        raise too_large(location)
    return data


def _parse(data: bytes, location: str) -> Element:
    try:
        report: Element = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise CorpusError(f"{location} is not valid XML; download the reports again") from error
    if not indiana_uid(_study_id(report)):
        raise CorpusError(f"{location} has no uId such as CXR12, so it is not a report of the collection; remove it")
    return report


def _study_id(report: Element) -> str:
    uid = report.find("uId")
    return "" if uid is None else uid.get("id", "")


def _example(report: Element, folders: list[Path], views: Views, splits: dict[str, str]) -> Example:
    uid = indiana_uid(_study_id(report))
    images = [(image, name) for name in _names(report) if (image := _find_image(folders, name))]
    sections = {text.get("Label"): " ".join(text.itertext()).strip() for text in report.iter("AbstractText")}
    texts: dict[str, Any] = {label.lower(): sections.get(label, "") for label in _TEXTS}
    return Example(
        study_id=_study_id(report),
        patient_id=uid,
        images=tuple(image for image, _ in images),
        view_positions=tuple(views.get((uid, _image_number(name)), ViewPosition.UNKNOWN.value) for _, name in images),
        split=splits.get(uid, "train"),
        **texts,
    )


def _names(report: Element) -> Iterator[str]:
    """Yield the names of the images without folders, because a manipulated file could name any path."""
    return (Path(image.get("id", "")).name for image in report.iter("parentImage"))


def _image_number(name: str) -> str:
    """Return the part of a name that Open-i (CXR12_IM-0012-1001) and Kaggle (12_IM-0012-1001.dcm.png) share."""
    return name.removesuffix(".dcm.png").partition("_IM-")[2]


def _read_views(table: Path) -> Views:
    if not table.is_file():
        return {}
    return {(uid, _image_number(name)): view for uid, name, view in read_projections(table)}


def _find_image(folders: list[Path], name: str) -> str | None:
    candidates = (folder / f"{name}{suffix}" for folder in folders for suffix in (".png", ".dcm"))
    return next((str(candidate) for candidate in candidates if name and is_file(candidate)), None)
