"""C-STORE and STOW-RS against Orthanc, an archive that this project did not write."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from report_gen.sending import (
    DicomNode,
    Outcome,
    WebService,
    find_objects,
    open_commitment,
    open_receiver,
    send_files,
)
from tests.sending.archives import sr_file
from tests.sending.keepers import free_port

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")

pytestmark = pytest.mark.skipif(
    shutil.which("Orthanc") is None or not PLUGIN.exists(), reason="orthanc and orthanc-dicomweb are not installed"
)


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc."""

    dicom_port: int
    http_port: int
    sender_port: int
    """Port where Orthanc expects the sender SENDER."""

    def instances(self) -> set[str]:
        """The SOP Instance UIDs of what is stored."""
        url = f"http://127.0.0.1:{self.http_port}/instances?expand"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return {instance["MainDicomTags"]["SOPInstanceUID"] for instance in json.load(answer)}


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    folder, found = tmp_path_factory.mktemp("orthanc"), Orthanc(free_port(), free_port(), free_port())
    settings: dict[str, Any] = {
        "HttpPort": found.http_port,
        "DicomPort": found.dicom_port,
        "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": True,
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "DicomModalities": {"sender": ["SENDER", "127.0.0.1", found.sender_port]},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "Plugins": [str(PLUGIN)],
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    process = subprocess.Popen(
        ["Orthanc", folder / "settings.json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(300):
            try:
                found.instances()
                break
            except OSError:
                time.sleep(0.2)
        yield found
    finally:
        process.terminate()
        process.wait()


def test_orthanc_stores_what_is_sent_both_ways(orthanc: Orthanc, tmp_path: Path) -> None:
    """Orthanc writes an empty FailedSOPSequence on success."""
    destinations = {
        "1.2.3.1": DicomNode("ORTHANC", "127.0.0.1", orthanc.dicom_port),
        "1.2.3.2": WebService(f"http://127.0.0.1:{orthanc.http_port}/dicom-web"),
    }
    for uid, destination in destinations.items():
        objects = find_objects([sr_file(tmp_path / f"{uid}.dcm", uid=uid)]).objects
        with open_receiver(destination, objects) as receiver:
            (result,) = send_files(receiver, objects)
        assert result.outcome is Outcome.STORED, result.error
        assert uid in orthanc.instances()


def test_orthanc_rejects_another_title(orthanc: Orthanc, tmp_path: Path) -> None:
    objects = find_objects([sr_file(tmp_path / "a.dcm")]).objects
    with open_receiver(DicomNode("OTHER", "127.0.0.1", orthanc.dicom_port), objects) as receiver:
        (result,) = send_files(receiver, objects)
    assert "does not have this AE title" in str(result.error)


def test_a_url_without_the_service(orthanc: Orthanc, tmp_path: Path) -> None:
    objects = find_objects([sr_file(tmp_path / "a.dcm")]).objects
    with open_receiver(WebService(f"http://127.0.0.1:{orthanc.http_port}"), objects) as receiver:
        (result,) = send_files(receiver, objects)
    assert "give the root of its DICOMweb service" in str(result.error)


def test_orthanc_commits_to_keep_what_it_has(orthanc: Orthanc, tmp_path: Path) -> None:
    """Orthanc answers on an association that it opens to the registered sender."""
    paths = [sr_file(tmp_path / f"{number}.dcm", uid=f"1.2.4.{number}") for number in range(2)]
    stored, absent = find_objects(paths).objects
    node = DicomNode("ORTHANC", "127.0.0.1", orthanc.dicom_port)
    with open_commitment(node, calling_aet="SENDER", port=orthanc.sender_port) as commitment:
        with open_receiver(node, [stored], calling_aet="SENDER") as receiver:
            (sent,) = send_files(receiver, [stored])
        kept, missing = commitment.request([stored, absent])
    assert sent.outcome is Outcome.STORED
    assert (kept.outcome, kept.error) == (Outcome.COMMITTED, None)
    assert missing.outcome is Outcome.NOT_COMMITTED
    assert "does not commit to keep the file (0x0112" in str(missing.error)


def test_orthanc_refuses_a_sender_that_it_does_not_know(orthanc: Orthanc, tmp_path: Path) -> None:
    objects = find_objects([sr_file(tmp_path / "a.dcm")]).objects
    node = DicomNode("ORTHANC", "127.0.0.1", orthanc.dicom_port)
    with open_commitment(node, calling_aet="STRANGER", timeout=5) as commitment:
        (result,) = commitment.request(objects)
    assert result.outcome is Outcome.NOT_COMMITTED
    assert "ended the connection at the request for storage commitment; register the AE title STRANGER" in str(
        result.error
    )
