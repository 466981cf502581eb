"""A DICOM node for tests that answers requests for storage commitment, in each way that PS3.4 Annex J allows."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID, EnhancedSRStorage
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from tests.dicom_files import item

PUSH_MODEL, INSTANCE = UID("1.2.840.10008.1.20.1"), UID("1.2.840.10008.1.20.1.1")


@dataclass
class Keeper:
    """How a node answers a request for storage commitment, and what it got."""

    status: int = 0x0000
    """Status of the response to the request."""
    failed: dict[str, int] = field(default_factory=dict)
    """Failure Reason by UID."""
    omitted: Sequence[str] = ()
    """UIDs that the answer does not mention."""
    transaction: str = ""
    """Transaction UID of the answer; "" for the right one."""
    malformed: bool = False
    sends: bool = True
    port: int | None = None
    """Port of the sender, to which the answer goes; None for the association of the request."""
    title: str = "SENDER"
    """AE title that the node calls."""
    own_port: int = 0
    requests: list[Dataset] = field(default_factory=list)
    answers: list[int | None] = field(default_factory=list)
    """Status of each response to an answer; None for an association that was not accepted."""
    ends: list[str] = field(default_factory=list)
    """How the sender ended each association: released or aborted."""

    def report(self, request: Dataset) -> Dataset:
        if self.malformed:
            return item(PatientName="x")
        references = {str(one.ReferencedSOPInstanceUID): one for one in request.ReferencedSOPSequence}
        kept = [one for uid, one in references.items() if uid not in (*self.failed, *self.omitted)]
        report = item(TransactionUID=self.transaction or request.TransactionUID, ReferencedSOPSequence=kept)
        if self.failed:
            report.FailedSOPSequence = [
                item(ReferencedSOPClassUID=EnhancedSRStorage, ReferencedSOPInstanceUID=uid, FailureReason=reason)
                for uid, reason in self.failed.items()
            ]
        return report

    def answer(self, association: Association, request: Dataset) -> None:
        time.sleep(0.1)  # the response to the request goes first
        kind = 2 if self.failed else 1
        if self.port is not None:
            entity = AE("ARCHIVE")
            role = build_role(PUSH_MODEL, scp_role=True)
            contexts = [build_context(PUSH_MODEL)]
            association = entity.associate(
                "127.0.0.1", self.port, contexts=contexts, ext_neg=[role], ae_title=self.title
            )
            if not association.is_established:
                self.answers.append(None)
                return
        status, _ = association.send_n_event_report(self.report(request), kind, PUSH_MODEL, INSTANCE)
        self.answers.append(status.get("Status"))
        if self.port is not None:
            association.release()


@contextmanager
def running(
    keeper: Keeper, *, contexts: Sequence[Any] = (build_context(PUSH_MODEL), build_context(EnhancedSRStorage))
) -> Iterator[None]:
    """Run the node ARCHIVE, which stores as well."""
    threads: list[threading.Thread] = []

    def act(event: Any) -> tuple[int, None]:
        keeper.requests.append(event.action_information)
        if keeper.sends and keeper.status == 0:
            threads.append(threading.Thread(target=keeper.answer, args=(event.assoc, event.action_information)))
            threads[-1].start()
        return keeper.status, None

    entity = AE("ARCHIVE")
    entity.supported_contexts = list(contexts)
    handlers = [
        (evt.EVT_N_ACTION, act),
        (evt.EVT_C_STORE, lambda _: 0x0000),
        (evt.EVT_RELEASED, lambda _: keeper.ends.append("released")),
        (evt.EVT_ABORTED, lambda _: keeper.ends.append("aborted")),
    ]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    keeper.own_port = server.server_address[1]
    try:
        yield
        for thread in threads:
            thread.join()
    finally:
        server.shutdown()
