"""C-STORE and STOW-RS against Orthanc, an archive that this project did not write."""

from __future__ import annotations

from pathlib import Path

from report_gen.sending import (
    DicomNode,
    Outcome,
    WebService,
    find_objects,
    open_commitment,
    open_receiver,
    send_files,
)
from tests.orthanc import Orthanc
from tests.sending.archives import sr_file


def test_orthanc_stores_what_is_sent_both_ways(orthanc: Orthanc, tmp_path: Path) -> None:
    """Orthanc writes an empty FailedSOPSequence on success."""
    destinations = {
        "1.2.3.1": DicomNode("ORTHANC", "127.0.0.1", orthanc.dicom_port),
        "1.2.3.2": WebService(f"{orthanc.url}/dicom-web"),
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
    with open_receiver(WebService(orthanc.url), objects) as receiver:
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
