"""Orthanc for tests: an archive that this project did not write, with DIMSE and DICOMweb services on this computer."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

AE_TITLE, SENDER = "ORTHANC", "SENDER"
_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")  # /usr/lib/orthanc has no file that Orthanc loads


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc."""

    http_port: int
    dicom_port: int
    sender_port: int
    """Port at which Orthanc expects the sender `SENDER`, for the answers to requests for storage commitment."""

    @property
    def url(self) -> str:
        """Address of its HTTP server. The DICOMweb service is below `/dicom-web`."""
        return f"http://127.0.0.1:{self.http_port}"

    def get(self, path: str) -> Any:
        """Return the JSON answer to a GET request."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=20) as answer:
            return json.load(answer)

    def instances(self) -> set[str]:
        """Return the SOP Instance UIDs of what is stored."""
        return {instance["MainDicomTags"]["SOPInstanceUID"] for instance in self.get("/instances?expand")}

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


@contextmanager
def running_orthanc(folder: Path) -> Iterator[Orthanc]:
    """Run Orthanc with an empty archive in a folder. Skip the test if Orthanc or its DICOMweb plug-in is missing."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if program is None or not _PLUGIN.is_file():
        pytest.skip("an archive is missing: apt-get install orthanc orthanc-dicomweb")
    server = Orthanc(free_port(), free_port(), free_port())
    configuration = {
        "HttpPort": server.http_port,
        "DicomPort": server.dicom_port,
        "DicomAet": AE_TITLE,
        "DicomCheckCalledAet": True,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "DicomModalities": {"sender": [SENDER, "127.0.0.1", server.sender_port]},
        "ConcurrentJobs": 1,
        "Plugins": [str(_PLUGIN)],
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


def free_port() -> int:
    """Return a port of this computer that no server uses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_for(server: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            server.get("/system")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"Orthanc did not start:\n{log.read_text()[-2000:]}")
