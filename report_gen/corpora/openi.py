"""The Indiana University collection (Demner-Fushman et al., JAMIA 2016) as openi.nlm.nih.gov gives it.

NLMCXR_reports.tgz, or the folder `ecgen-radiology` unpacked from it, with one XML file per study; the images, where
there are any, unpacked from NLMCXR_png.tgz or NLMCXR_dcm.tgz beside it. The archive is read in memory, never unpacked.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

from report_gen.corpora.examples import Example, is_file
from report_gen.corpora.indiana import PROJECTIONS, read_projections
from report_gen.corpora.r2gen import FILE as ANNOTATION
from report_gen.corpora.r2gen import indiana_splits, indiana_uid
from report_gen.errors import CorpusError
from report_gen.records.study import ViewPosition

ARCHIVE, FOLDER = "NLMCXR_reports.tgz", "ecgen-radiology"
IMAGE_FOLDERS = ("images", "NLMCXR_png", "NLMCXR_dcm", "png", ".")
LARGEST_REPORT = 2**20
"""Bytes of one XML file; the largest of the collection has 8,967."""

Views = dict[tuple[str, str], str]
"""The view of each film by the number of its patient and its own."""

_TEXTS = ("INDICATION", "COMPARISON", "FINDINGS", "IMPRESSION")


def matches(path: Path) -> bool:
    if path.is_file():
        return path.name.endswith((".tgz", ".tar.gz"))
    return (path / ARCHIVE).is_file() or (path / FOLDER).is_dir() or path.name == FOLDER


def read(path: Path) -> Iterator[Example]:
    """Examples with those images that are there; without a single one they are texts alone.

    The XML do not tell the view of an image, nor a split: they come from the Kaggle projections and an R2Gen annotation
    beside, where these are.

    Raises:
        CorpusError: no reports are here, or one of them is not as the collection writes them.
    """
    place = next((place for place in (path / ARCHIVE, path / FOLDER) if place.exists()), path)
    folder = place.parent.resolve()
    folders = [folder / name for name in IMAGE_FOLDERS if (folder / name).is_dir()]
    views = _read_views(folder / PROJECTIONS)
    splits = indiana_splits(folder / ANNOTATION)
    reports = _read_archive(place) if place.is_file() else _read_folder(place)
    for name, data in reports:
        yield _example(_parse(data, f"{place}: {name}"), folders, views, splits)


def _read_archive(archive: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(archive, "r|gz") as members:
            for member in members:
                if member.isfile() and member.name.endswith(".xml"):
                    yield member.name, _read_all(members.extractfile(member), f"{archive}: {member.name}")
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise CorpusError(f"{archive}: not a sound .tgz archive; fetch it again.") from error


def _read_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    files = sorted(folder.glob("*.xml"))
    if not files:
        raise CorpusError(f"{folder}: no {ARCHIVE}, and no folder {FOLDER} with XML files, is here.")
    for file in files:
        try:
            with file.open("rb") as opened:
                yield file.name, _read_all(opened, str(file))
        except OSError as error:
            raise CorpusError(f"{file}: cannot be read ({error.strerror}).") from error


def _read_all(file: IO[bytes] | None, place: str) -> bytes:
    data = b"" if file is None else file.read(LARGEST_REPORT + 1)
    if len(data) > LARGEST_REPORT:
        raise CorpusError(f"{place} has more than {LARGEST_REPORT} bytes; it is no report of the collection.")
    return data


def _parse(data: bytes, place: str) -> Element:
    try:
        report: Element = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise CorpusError(f"{place} is no sound XML; fetch the reports again.") from error
    if not indiana_uid(_study_id(report)):
        raise CorpusError(f"{place} has no uId such as CXR12; it is no report of the collection.")
    return report


def _study_id(report: Element) -> str:
    uid = report.find("uId")
    return "" if uid is None else uid.get("id", "")


def _example(report: Element, folders: list[Path], views: Views, splits: dict[str, str]) -> Example:
    uid = indiana_uid(_study_id(report))
    images = [(image, name) for name in _names(report) if (image := _find_image(folders, name))]
    said = {text.get("Label"): " ".join(text.itertext()).strip() for text in report.iter("AbstractText")}
    texts: dict[str, Any] = {label.lower(): said.get(label, "") for label in _TEXTS}
    return Example(
        study_id=_study_id(report),
        patient_id=uid,
        images=tuple(image for image, _ in images),
        view_positions=tuple(views.get((uid, _film(name)), ViewPosition.UNKNOWN.value) for _, name in images),
        split=splits.get(uid, "train"),
        **texts,
    )


def _names(report: Element) -> Iterator[str]:
    """Names without folders, of which a file of another hand could hold any."""
    return (Path(image.get("id", "")).name for image in report.iter("parentImage"))


def _film(name: str) -> str:
    """Kaggle calls the image CXR12_IM-0012-1001 `12_IM-0012-1001.dcm.png`."""
    return name.removesuffix(".dcm.png").partition("_IM-")[2]


def _read_views(table: Path) -> Views:
    if not table.is_file():
        return {}
    return {(uid, _film(name)): view for uid, name, view in read_projections(table)}


def _find_image(folders: list[Path], name: str) -> str | None:
    places = (folder / f"{name}{suffix}" for folder in folders for suffix in (".png", ".dcm"))
    return next((str(place) for place in places if name and is_file(place)), None)
