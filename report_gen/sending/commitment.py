"""Ask a DICOM node to take responsibility for stored objects: storage commitment, push model (PS3.4 Annex J)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self, cast

from pydicom import Dataset
from pydicom.uid import UID, generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.presentation import build_context
from pynetdicom.transport import ThreadedAssociationServer

from report_gen.errors import ReceiverError, ReportGenError, SendError, UsageError
from report_gen.sending.association import DicomPeer
from report_gen.sending.delivery import Outcome, SendResult
from report_gen.sending.destination import DicomNode
from report_gen.sending.dicom_object import DicomObject
from report_gen.sending.status import describe_status
from report_gen.sending.tls import TlsFiles

_PUSH_MODEL = UID("1.2.840.10008.1.20.1")
_PUSH_MODEL_INSTANCE = UID("1.2.840.10008.1.20.1.1")
"""Storage Commitment Push Model SOP Class, and its well-known instance (PS3.4 J.3.5)."""
_REQUEST = 1
"""Action Type ID of a request for commitment (PS3.4 table J.3-1)."""
_SUCCESS, _PROCESSING_FAILURE = 0x0000, 0x0110
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class _Answer:
    """What a node says about the objects of a transaction (PS3.4 table J.3-2)."""

    committed: frozenset[str]
    """SOP Instance UIDs of the objects that it keeps."""
    failed: dict[str, int] = field(default_factory=dict)
    """Failure Reason (0008,1197) by SOP Instance UID."""


class StorageCommitment:
    """Requests commitment from a DICOM node, and listens for its answer if a port is given.

    The node sends its answer on the association of the request, or on one that it opens itself. In the second case it
    has to know this sender: AE title, host and port.

    Args:
        node: The DICOM node.
        calling_aet: Application entity title of this sender.
        timeout: Seconds that the node may take for the answer.
        tls: Certificates, if the node uses TLS.
        port: Port to listen on; None to take answers on the association of the request only.
    """

    def __init__(
        self, node: DicomNode, *, calling_aet: str, timeout: float, tls: TlsFiles, port: int | None = None
    ) -> None:
        self._peer = DicomPeer(node, calling_aet=calling_aet, timeout=timeout, tls=tls)
        self._calling_aet, self._port = calling_aet, port
        self._transaction_uid = generate_uid(prefix=None)  # derived from a random UUID
        self._answers = SimpleQueue[_Answer]()
        self._server: ThreadedAssociationServer | None = None

    def __enter__(self) -> Self:
        if self._port is not None:
            self._server = self._listen(self._port)
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._server is not None:
            self._server.shutdown()

    def request(self, objects: Sequence[DicomObject]) -> Iterator[SendResult]:
        """Request commitment for objects that the node stored, and wait for the answer.

        Args:
            objects: The objects, at least one.

        Yields:
            A result for each object, with the outcome COMMITTED or NOT_COMMITTED.
        """
        try:
            answer = self._ask(objects)
        except ReceiverError as error:
            for number, item in enumerate(objects):
                yield SendResult(item.path, Outcome.NOT_COMMITTED, error=None if number else error)
            return
        for item in objects:
            if item.sop_instance_uid in answer.committed:
                yield SendResult(item.path, Outcome.COMMITTED)
            else:
                yield SendResult(item.path, Outcome.NOT_COMMITTED, error=self._refusal(item, answer))

    def _ask(self, objects: Sequence[DicomObject]) -> _Answer:
        context = build_context(_PUSH_MODEL)
        association = self._peer.associate([context], [(evt.EVT_N_EVENT_REPORT, self._take_report)])
        if association is None:
            raise ReceiverError(f"{self._peer.node}: does not support storage commitment; leave --commit out")
        # The deadline of `_wait` is as long: a thread of pynetdicom would abort the idle association while it is
        # released here, which sometimes ended in an InvalidEventError and an open socket.
        association.network_timeout = None
        try:
            self._send_request(association, objects)
            return self._wait(association)
        finally:
            if association.is_established:
                association.release()

    def _send_request(self, association: Association, objects: Sequence[DicomObject]) -> None:
        request = Dataset()
        request.TransactionUID = self._transaction_uid
        unique = {item.sop_instance_uid: item for item in objects}
        request.ReferencedSOPSequence = [_reference(item) for item in unique.values()]
        started = time.monotonic()
        try:
            status, _ = association.send_n_action(request, _REQUEST, _PUSH_MODEL, _PUSH_MODEL_INSTANCE)
        except RuntimeError:  # the node ended the association before the request was sent
            status = Dataset()
        if "Status" not in status:
            if time.monotonic() - started >= self._peer.timeout:
                raise self._peer.silent()
            raise ReceiverError(
                f"{self._peer.node}: ended the connection at the request for storage commitment; register the AE title "
                f"{self._calling_aet} there, or see the log of the receiver"
            )
        if status.Status != _SUCCESS:
            raise ReceiverError(
                f"{self._peer.node}: refused the request for storage commitment (0x{int(status.Status):04X}); see the "
                "log of the receiver"
            )

    def _wait(self, association: Association) -> _Answer:
        """Wait for the answer, which may come before the response to the request."""
        deadline = time.monotonic() + self._peer.timeout
        while time.monotonic() < deadline:
            try:
                return self._answers.get(timeout=_POLL_SECONDS)
            except Empty:
                if not association.is_established and self._server is None:
                    break
        remedy = "raise --timeout, or give the port where the receiver sends its answer with --commit-port"
        if self._port is not None:
            remedy = f"raise --timeout, and check that the receiver knows {self._calling_aet} at port {self._port}"
        raise ReceiverError(f"{self._peer.node}: did not answer whether it keeps the files; {remedy}")

    def _listen(self, port: int) -> ThreadedAssociationServer:
        entity = AE(self._calling_aet)
        entity.require_called_aet = True
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = self._peer.timeout
        entity.add_supported_context(_PUSH_MODEL, scu_role=False, scp_role=True)
        host = "127.0.0.1" if self._peer.node.is_loopback else ""
        try:
            server = entity.start_server(
                (host, port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._take_report)]
            )
        except OSError as error:
            raise UsageError(f"--commit-port {port}: cannot be used ({error.strerror}); choose another port") from error
        return cast("ThreadedAssociationServer", server)

    def _take_report(self, event: Event) -> tuple[int, None]:
        """Handle N-EVENT-REPORT. Reports about other transactions are refused.

        pynetdicom answers with a failure if the report is malformed and an exception is raised.
        """
        report = event.event_information
        if report.TransactionUID != self._transaction_uid:
            return _PROCESSING_FAILURE, None
        failed = {
            str(item.ReferencedSOPInstanceUID): int(item.get("FailureReason") or _PROCESSING_FAILURE)
            for item in report.get("FailedSOPSequence") or ()
        }
        kept = {str(item.ReferencedSOPInstanceUID) for item in report.get("ReferencedSOPSequence") or ()}
        self._answers.put(_Answer(frozenset(kept - failed.keys()), failed))
        return _SUCCESS, None

    def _refusal(self, item: DicomObject, answer: _Answer) -> ReportGenError:
        reason = "it did not say why"
        if item.sop_instance_uid in answer.failed:
            reason = describe_status(answer.failed[item.sop_instance_uid])
        return SendError(
            f"{item.path}: {self._peer.node} does not commit to keep the file ({reason}); see the log of the receiver"
        )


def _reference(item: DicomObject) -> Dataset:
    """Return a reference to an object (SOP Instance Reference Macro, PS3.3 10.8)."""
    reference = Dataset()
    reference.ReferencedSOPClassUID = UID(item.sop_class_uid)
    reference.ReferencedSOPInstanceUID = UID(item.sop_instance_uid)
    return reference
