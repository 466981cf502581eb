"""C-STORE against a DICOM node of pynetdicom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom.uid import (
    BasicTextSRStorage,
    EnhancedSRStorage,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom.presentation import build_context

from report_gen.errors import ReceiverError
from report_gen.sending import DicomNode, Outcome, SendResult, delivery, find_objects, open_receiver, send_files
from tests.sending.archives import PATIENT, Node, dicom_node, sr_file


@pytest.fixture(autouse=True)
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waiting times between attempts, which the tests do not wait."""
    waited: list[float] = []
    monkeypatch.setattr(delivery, "sleep", waited.append)
    return waited


def send(
    node: Node,
    files: Sequence[Path],
    *,
    title: str = "ARCHIVE",
    calling: str = "SENDER",
    timeout: float = 5,
    retries: int = 3,
) -> list[SendResult]:
    objects = find_objects(files).objects
    destination = DicomNode(title, "127.0.0.1", node.port)
    with open_receiver(destination, objects, calling_aet=calling, timeout=timeout) as receiver:
        return list(send_files(receiver, objects, retries=retries))


def reasons(results: Sequence[SendResult]) -> list[str]:
    return [str(result.error).partition(": ")[2] for result in results if result.error]


def test_files_are_stored_in_one_association(tmp_path: Path) -> None:
    files = [sr_file(tmp_path / f"{number}.dcm", uid=f"1.2.{number}") for number in range(3)]
    with dicom_node() as node:
        results = send(node, files)
    assert [result.outcome for result in results] == [Outcome.STORED] * 3
    assert node.stored == ["1.2.0", "1.2.1", "1.2.2"]
    assert node.calling == ["SENDER"]


def test_a_node_that_only_takes_implicit_vr_gets_it(tmp_path: Path) -> None:
    """Every node takes Implicit VR Little Endian (PS3.5 10.1)."""
    with dicom_node(contexts=[build_context(EnhancedSRStorage, ImplicitVRLittleEndian)]) as node:
        (result,) = send(node, [sr_file(tmp_path / "a.dcm")])
    assert result.outcome is Outcome.STORED


def test_a_value_of_odd_length_is_padded(tmp_path: Path) -> None:
    """Values have an even length (PS3.5 7.1.1); Orthanc ends the association at another one without an answer."""
    path = sr_file(tmp_path / "odd.dcm")
    even = path.read_bytes()
    path.write_bytes(even + b"\xe0\x7f\x10\x00OB\x00\x00\x03\x00\x00\x00abc")  # Pixel Data, 3 bytes
    with dicom_node() as node:
        (result,) = send(node, [path])
    assert result.outcome is Outcome.STORED
    assert [size % 2 for size in node.sizes] == [0]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (0x0122, "0x0122 Refused: SOP Class Not Supported"),
        (0x0124, "0x0124 Refused: Not Authorised"),
        (0xA900, "0xA900 Data Set Does Not Match SOP Class"),
        (0xC123, "0xC123 Cannot Understand"),
    ],
)
def test_a_refused_file_is_not_sent_again_and_the_others_go_on(
    tmp_path: Path, delays: list[float], status: int, reason: str
) -> None:
    files = [sr_file(tmp_path / f"{number}.dcm", uid=f"1.2.{number}") for number in range(2)]
    with dicom_node([status]) as node:
        results = send(node, files)
    assert [result.outcome for result in results] == [Outcome.FAILED, Outcome.STORED]
    assert reasons(results)[0].casefold().startswith(f"refused by ARCHIVE@127.0.0.1:{node.port}: {reason}".casefold())
    assert (node.attempts, delays) == (2, [])


def test_a_node_without_resources_is_asked_again_with_growing_delays(tmp_path: Path, delays: list[float]) -> None:
    with dicom_node([0xA700, 0xA700, 0xA700, 0x0000]) as node:
        (result,) = send(node, [sr_file(tmp_path / "a.dcm")])
    assert (result.outcome, delays, node.attempts) == (Outcome.STORED, [1, 2, 4], 4)
    with dicom_node([0xA700] * 9) as node:
        (result,) = send(node, [sr_file(tmp_path / "a.dcm")], retries=2)
    assert (result.outcome, node.attempts) == (Outcome.FAILED, 3)
    assert "0xA700 Refused: Out of Resources" in str(result.error)


def test_an_association_that_the_node_ends_is_opened_again(tmp_path: Path, delays: list[float]) -> None:
    files = [sr_file(tmp_path / f"{number}.dcm", uid=f"1.2.{number}") for number in range(2)]
    with dicom_node(["abort"]) as node:
        results = send(node, files)
    assert [result.outcome for result in results] == [Outcome.STORED] * 2
    assert (node.stored, delays) == (["1.2.0", "1.2.1"], [1])


def test_a_warning_is_passed_on(tmp_path: Path) -> None:
    with dicom_node([0xB000]) as node:
        (result,) = send(node, [sr_file(tmp_path / "a.dcm")])
    assert result.outcome is Outcome.STORED
    assert result.warning.startswith("0xB000 ")


def test_a_node_that_does_not_answer(tmp_path: Path) -> None:
    with dicom_node(["silent"]) as node:
        results = send(node, [sr_file(tmp_path / f"{number}.dcm") for number in range(2)], timeout=1, retries=0)
    assert [result.outcome for result in results] == [Outcome.FAILED, Outcome.NOT_SENT]
    assert reasons(results)[0].startswith("gave no answer in 1 s; check")


def test_a_wrong_ae_title_is_told_and_not_tried_again(tmp_path: Path, delays: list[float]) -> None:
    with dicom_node(require_called=True) as node:
        (result,) = send(node, [sr_file(tmp_path / "a.dcm")], title="ARCHIV")
    assert isinstance(result.error, ReceiverError)
    assert reasons([result]) == ["does not have this AE title; correct the part of --to before the @"]
    assert delays == []


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_node_that_is_down_is_tried_again(tmp_path: Path, delays: list[float]) -> None:
    with dicom_node() as node:
        pass
    (result,) = send(node, [sr_file(tmp_path / "a.dcm")])
    assert reasons([result])[0].startswith("cannot be reached (Connection refused)")
    assert delays == [1, 2, 4]


def test_a_kind_of_object_that_the_node_does_not_take(tmp_path: Path) -> None:
    """Once beside another kind, which it takes, and once alone, when the whole association fails."""
    other = sr_file(tmp_path / "a.dcm", sop_class=BasicTextSRStorage)
    taken = sr_file(tmp_path / "b.dcm", uid="1.2.4")
    with dicom_node(contexts=[build_context(EnhancedSRStorage)]) as node:
        results = send(node, [other, taken])
        assert [result.outcome for result in results] == [Outcome.FAILED, Outcome.STORED]
        results += send(node, [other])
    assert {reason.partition(";")[0].partition(" ")[2] for reason in reasons(results)} == {
        "takes no Basic Text SR Storage"
    }


def test_a_compressed_image_is_never_converted(tmp_path: Path) -> None:
    compressed = sr_file(tmp_path / "a.dcm", sop_class=SecondaryCaptureImageStorage, transfer_syntax=JPEG2000Lossless)
    plain = sr_file(tmp_path / "b.dcm", sop_class=SecondaryCaptureImageStorage, uid="1.2.4")
    with dicom_node(contexts=[build_context(SecondaryCaptureImageStorage)]) as node:
        results = send(node, [compressed, plain])
    assert [result.outcome for result in results] == [Outcome.FAILED, Outcome.STORED]
    assert "takes no Secondary Capture Image Storage with the transfer syntax JPEG 2000" in str(results[0].error)


def test_more_kinds_of_objects_than_an_association_has_room_for(tmp_path: Path) -> None:
    """Private SOP classes, which nobody takes, and a kind that comes last."""
    files = [
        sr_file(tmp_path / f"{n:03}.dcm", uid=f"1.2.{n}", sop_class=type(EnhancedSRStorage)(f"1.2.826.{n}"))
        for n in range(1, 130)
    ]
    files.append(sr_file(tmp_path / "last.dcm", uid="1.2.999"))
    with dicom_node() as node:
        results = send(node, [files[0], *files[-2:]])
        outcomes = [result.outcome for result in send(node, files)][-1]
    assert [result.outcome for result in results] == [Outcome.FAILED, Outcome.FAILED, Outcome.STORED]
    assert outcomes is Outcome.STORED


def test_nothing_of_the_patient_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="report_gen")
    with dicom_node([0xA700, 0xC000]) as node:
        send(node, [sr_file(tmp_path / "a.dcm")])
    assert "attempts left: 3" in caplog.text
    assert PATIENT not in caplog.text
    assert "MRN-1" not in caplog.text
