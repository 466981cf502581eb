"""Orthanc, a PACS, stores the DICOM objects of a draft and lists them under the study of the image."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from report_gen.outputs import DraftDocument
from tests.dicom_files import STUDY_UID
from tests.outputs.dicom.conftest import Draft

FORMATS = ("dicom-sr", "dicom-sr-findings", "dicom-pdf", "dicom-sc")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc."""

    http_port: int
    dicom_port: int

    def get(self, path: str) -> Any:
        """Return the JSON answer to a GET request."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=20) as answer:
            return json.load(answer)

    def stow(self, path: Path) -> Any:
        """Store a file by STOW-RS (PS3.18 10.5). Return the JSON answer."""
        boundary = uuid.uuid4().hex
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}/dicom-web/studies",
            data=head + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode(),
            headers={
                "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
                "Accept": "application/dicom+json",
            },
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return json.load(answer)

    def modalities(self, study_uid: str) -> dict[str, str]:
        """Return the modality of each series of a study by its UID, as QIDO-RS lists them."""
        series = self.get(f"/dicom-web/studies/{study_uid}/series")
        return {one["0020000E"]["Value"][0]: one["00080060"]["Value"][0] for one in series}


_STORESCU = shutil.which("storescu", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
"""Program of DCMTK; pynetdicom installs another one of the same name into the environment."""


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if program is None or not PLUGIN.is_file() or _STORESCU is None:
        pytest.skip("a PACS is missing: apt-get install orthanc orthanc-dicomweb dcmtk")
    folder = tmp_path_factory.mktemp("orthanc")
    server = Orthanc(_free_port(), _free_port())
    configuration = {
        "HttpPort": server.http_port,
        "DicomPort": server.dicom_port,
        "DicomAet": "ORTHANC",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "ConcurrentJobs": 1,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen([program, folder / "orthanc.json"], stdout=log, stderr=log)
        try:
            _wait_for(server, process, folder / "log.txt")
            yield server
        finally:
            process.terminate()
            process.wait(30)


def test_orthanc_lists_all_objects_under_the_study_of_the_image(
    orthanc: Orthanc, draft: Draft, written: Callable[[str, DraftDocument], Path]
) -> None:
    document = draft()
    source = document.study.images[0].path
    for path in (source, written("dicom-sr", document), written("dicom-sc", document)):
        command = [_STORESCU, "-R", "-aec", "ORTHANC", "127.0.0.1", str(orthanc.dicom_port), path]
        subprocess.run(command, check=True, timeout=60)
    for name in ("dicom-sr-findings", "dicom-pdf"):
        answer = orthanc.stow(written(name, document))
        assert len(answer["00081199"]["Value"]) == 1
        assert not answer.get("00081198", {}).get("Value")  # Orthanc returns an empty sequence of failures
    assert sorted(orthanc.modalities(STUDY_UID).values()) == ["CR", "DOC", "OT", "SR", "SR"]
    assert len(orthanc.get("/studies")) == 1


def test_orthanc_files_the_objects_of_a_picture_under_one_study(
    orthanc: Orthanc, draft: Draft, written: Callable[[str, DraftDocument], Path]
) -> None:
    document = draft("picture")
    for name in FORMATS:
        assert len(orthanc.stow(written(name, document))["00081199"]["Value"]) == 1
    study_uid = str(document.source.attributes.StudyInstanceUID)
    assert sorted(orthanc.modalities(study_uid).values()) == ["DOC", "OT", "SR", "SR"]
    (patient,) = {one["00100020"]["Value"][0] for one in orthanc.get(f"/dicom-web/studies/{study_uid}/metadata")}
    assert patient == "P9"


def test_orthanc_keeps_a_revision_beside_the_earlier_report(
    orthanc: Orthanc, draft: Draft, written: Callable[[str, DraftDocument], Path], tmp_path: Path
) -> None:
    earlier = written("dicom-sr", draft("picture")).rename(tmp_path / "earlier.dcm")
    later = written("dicom-sr", draft("picture", revises=earlier))
    for path in (earlier, later, later):  # the same draft twice is one object
        orthanc.stow(path)
    study_uid = str(draft("picture").source.attributes.StudyInstanceUID)
    (series,) = [
        series for series, modality in orthanc.modalities(study_uid).items() if _is_series_of(later, series, modality)
    ]
    instances = orthanc.get(f"/dicom-web/studies/{study_uid}/series/{series}/instances")
    assert sorted(one["00200013"]["Value"][0] for one in instances) == [1, 2]


def _is_series_of(path: Path, series: str, modality: str) -> bool:
    return modality == "SR" and series.encode() in path.read_bytes()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(server: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            server.get("/system")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"Orthanc did not start:\n{log.read_text()[-2000:]}")
