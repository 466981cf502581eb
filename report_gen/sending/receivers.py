"""Open the receiver of a destination, and the request for storage commitment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from report_gen.outputs.extras import clinical_extra
from report_gen.sending.destination import DicomNode
from report_gen.sending.dicom_object import DicomObject
from report_gen.sending.tls import TlsFiles
from report_gen.web_service import WebService

if TYPE_CHECKING:
    from report_gen.sending.commitment import StorageCommitment


class Receiver(Protocol):
    """Stores DICOM files."""

    def store(self, item: DicomObject) -> str:
        """Send a file and wait for the answer.

        Returns:
            What the receiver changed in the file, "" if nothing.

        Raises:
            SendError: The receiver did not store the file.
            ReceiverError: The receiver cannot be reached, or takes no file of this sender.
            StudyError: The file cannot be read.
        """


@contextmanager
def open_receiver(
    destination: DicomNode | WebService,
    objects: Sequence[DicomObject],
    *,
    calling_aet: str = "REPORT_GEN",
    timeout: float = 30,
    tls: TlsFiles = TlsFiles(),  # noqa: B008 - frozen
) -> Iterator[Receiver]:
    """Open a receiver. The connection is made for the first file.

    Args:
        destination: The receiver's address.
        objects: All files that will be sent; their SOP classes and transfer syntaxes are proposed to a DICOM node.
        calling_aet: Application entity title of this sender.
        timeout: Seconds that the receiver may take for an answer.
        tls: Certificates, if the destination uses TLS.

    Raises:
        UsageError: A library of the extra `clinical` is missing, or a certificate cannot be read.
    """
    if isinstance(destination, WebService):
        with clinical_extra("sending"):
            from report_gen.sending.stow import StowService

        with StowService(destination, timeout=timeout, tls=tls) as service:
            yield service
    else:
        with clinical_extra("sending"):
            from report_gen.sending.c_store import StorageProvider

        with StorageProvider(destination, objects, calling_aet=calling_aet, timeout=timeout, tls=tls) as provider:
            yield provider


@contextmanager
def open_commitment(
    node: DicomNode,
    *,
    calling_aet: str = "REPORT_GEN",
    timeout: float = 30,
    tls: TlsFiles = TlsFiles(),  # noqa: B008 - frozen
    port: int | None = None,
) -> Iterator[StorageCommitment]:
    """Prepare a request for storage commitment. If a port is given, this sender listens on it within the context.

    Args:
        node: The DICOM node that stores the files.
        calling_aet: Application entity title of this sender.
        timeout: Seconds that the node may take for an answer.
        tls: Certificates, if the node uses TLS.
        port: Port on which the node may answer; None for answers on the association of the request only.

    Raises:
        UsageError: A library of the extra `clinical` is missing, or the port cannot be used.
    """
    with clinical_extra("sending"):
        from report_gen.sending.commitment import StorageCommitment

    with StorageCommitment(node, calling_aet=calling_aet, timeout=timeout, tls=tls, port=port) as commitment:
        yield commitment
