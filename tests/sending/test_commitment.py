"""Storage commitment against a DICOM node of pynetdicom."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import UID, EnhancedSRStorage
from pynetdicom.presentation import build_context

from report_gen.errors import UsageError
from report_gen.sending import DicomNode, Outcome, SendResult, find_objects, open_commitment
from tests.orthanc import free_port
from tests.sending.archives import sr_file
from tests.sending.keepers import Keeper, running


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [sr_file(tmp_path / f"{number}.dcm", uid=f"1.2.{number}") for number in range(3)]


def commit(keeper: Keeper, files: Sequence[Path], *, timeout: float = 5, **options: Any) -> list[SendResult]:
    node = DicomNode("ARCHIVE", "127.0.0.1", keeper.own_port)
    with open_commitment(node, calling_aet="SENDER", timeout=timeout, port=keeper.port, **options) as commitment:
        return list(commitment.request(find_objects(files).objects))


@pytest.fixture(params=["same", "own"])
def port(request: pytest.FixtureRequest) -> int | None:
    """The answer comes on the association of the request, or on one that the node opens."""
    return None if request.param == "same" else free_port()


def test_every_file_is_committed(files: list[Path], port: int | None) -> None:
    keeper = Keeper(port=port)
    with running(keeper):
        results = commit(keeper, [*files, files[0]])
    assert [(result.path, result.outcome, result.error) for result in results] == [
        (path, Outcome.COMMITTED, None) for path in files
    ]
    (request,) = keeper.requests
    assert UID(request.TransactionUID).is_valid
    references = [(one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID) for one in request.ReferencedSOPSequence]
    assert references == [(EnhancedSRStorage, f"1.2.{number}") for number in range(3)]
    assert keeper.answers == [0x0000]


def test_a_file_that_the_node_does_not_keep_is_named_with_the_reason(files: list[Path], port: int | None) -> None:
    keeper = Keeper(port=port, failed={"1.2.1": 0x0112}, omitted=["1.2.2"])
    with running(keeper):
        first, second, third = commit(keeper, files)
    assert [one.outcome for one in (first, second, third)] == [
        Outcome.COMMITTED,
        Outcome.NOT_COMMITTED,
        Outcome.NOT_COMMITTED,
    ]
    assert str(second.error).startswith(f"{files[1]}: ARCHIVE@127.0.0.1:{keeper.own_port} does not commit to keep")
    assert "(0x0112" in str(second.error)
    assert "(it did not say why)" in str(third.error)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sends": False}, "did not answer whether it keeps the files; raise --timeout"),
        ({"transaction": "1.2.3.4"}, "did not answer whether it keeps the files"),
        ({"malformed": True}, "did not answer whether it keeps the files"),
        ({"status": 0x0213}, "refused the request for storage commitment (0x0213)"),
    ],
)
def test_without_an_answer_no_file_is_committed(
    changes: dict[str, Any], reason: str, files: list[Path], port: int | None
) -> None:
    keeper = Keeper(port=port, **changes)
    with running(keeper):
        results = commit(keeper, files, timeout=1)
    assert [result.outcome for result in results] == [Outcome.NOT_COMMITTED] * 3
    assert [result.error is None for result in results] == [False, True, True]
    assert reason in str(results[0].error)
    assert keeper.answers == ([0x0110] if "transaction" in changes or "malformed" in changes else [])


def test_a_wait_for_the_answer_ends_with_a_release(files: list[Path]) -> None:
    """pynetdicom would abort an association that is idle for as long, from a thread of its own."""
    keeper = Keeper(sends=False)
    with running(keeper):
        commit(keeper, files, timeout=1)
        deadline = time.monotonic() + 10
        while not keeper.ends and time.monotonic() < deadline:
            time.sleep(0.05)
    assert keeper.ends == ["released"]


def test_only_calls_of_the_own_title_are_taken(files: list[Path]) -> None:
    keeper = Keeper(port=free_port(), title="OTHER")
    with running(keeper):
        results = commit(keeper, files, timeout=1)
    assert keeper.answers == [None]
    assert f"check that the receiver knows SENDER at port {keeper.port}" in str(results[0].error)


def test_a_node_without_storage_commitment(files: list[Path]) -> None:
    keeper = Keeper()
    with running(keeper, contexts=[build_context(EnhancedSRStorage)]):
        results = commit(keeper, files)
    assert "does not support storage commitment; leave --commit out" in str(results[0].error)


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_node_that_is_down(files: list[Path]) -> None:
    results = commit(Keeper(own_port=free_port()), files)
    assert [result.outcome for result in results] == [Outcome.NOT_COMMITTED] * 3
    assert "cannot be reached (Connection refused)" in str(results[0].error)


def test_a_port_in_use_is_found_before_anything_is_sent(files: list[Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UsageError, match=f"--commit-port {port}: cannot be used"):
            commit(Keeper(port=port, own_port=1), files)
