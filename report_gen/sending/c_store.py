"""Store DICOM files on a DICOM node by C-STORE (PS3.4 Annex B, PS3.7 9.1.1)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from report_gen.errors import SendError
from report_gen.imaging import raise_study_errors
from report_gen.sending.association import DicomPeer
from report_gen.sending.destination import DicomNode
from report_gen.sending.dicom_object import DicomObject
from report_gen.sending.status import describe_status, is_transient, is_warning
from report_gen.sending.tls import TlsFiles

_MAX_CONTEXTS = 128
"""Presentation contexts of one association: their identifiers are the odd numbers below 256 (PS3.8 9.3.2.2)."""
_UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
"""Transfer syntaxes of which one can be written as the other; each node takes the second one (PS3.5 10.1)."""


class _Context(NamedTuple):
    """A kind of objects that is proposed to the node."""

    sop_class_uid: UID
    transfer_syntax_uids: tuple[UID, ...]


class StorageProvider:
    """A DICOM node that stores files. The association is opened for the first file, and again after it was lost.

    Args:
        node: The DICOM node.
        objects: All files that will be sent.
        calling_aet: Application entity title of this sender.
        timeout: Seconds that the node may take for an answer.
        tls: Certificates, if the node uses TLS.
    """

    def __init__(
        self, node: DicomNode, objects: Sequence[DicomObject], *, calling_aet: str, timeout: float, tls: TlsFiles
    ) -> None:
        self._node = node
        self._peer = DicomPeer(node, calling_aet=calling_aet, timeout=timeout, tls=tls)
        self._contexts = list(dict.fromkeys(map(_context_of, objects)))
        self._association: Association | None = None
        self._proposed: Sequence[_Context] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._close(abort=kind is not None)

    def store(self, item: DicomObject) -> str:
        """Send a file and wait for the answer, see `Receiver.store`."""
        association = self._associate(item)
        if not any(context.abstract_syntax == item.sop_class_uid for context in association.accepted_contexts):
            raise self._not_supported(item)
        dataset = _read(item.path)
        started = time.monotonic()
        try:
            status = association.send_c_store(dataset)
        except ValueError as error:
            raise self._not_supported(item, "with the transfer syntax " + item.transfer_syntax_uid.name) from error
        except AttributeError as error:
            raise SendError(
                f"{item.path}: the header and the file meta information differ; export the file again"
            ) from error
        except RuntimeError as error:  # the node ended the association after it was checked
            raise self._lost(item) from error
        if "Status" in status:
            return self._check_status(item, status)
        self._close(abort=True)  # the next attempt needs an association of its own
        if time.monotonic() - started >= self._peer.timeout:
            raise self._peer.silent()
        raise self._lost(item)

    def _check_status(self, item: DicomObject, status: Dataset) -> str:
        code = int(status.Status)
        if code == 0:
            return ""
        if is_warning(code):
            return describe_status(code)
        raise SendError(
            f"{item.path}: refused by {self._node}: {describe_status(code)}; see the log of the receiver",
            is_transient=is_transient(code),
        )

    def _associate(self, item: DicomObject) -> Association:
        """Return an association in which the kind of the file was proposed."""
        context = _context_of(item)
        if self._association and self._association.is_established and context in self._proposed:
            return self._association
        self._close(abort=False)
        start = self._contexts.index(context) if len(self._contexts) > _MAX_CONTEXTS else 0
        self._proposed = self._contexts[start : start + _MAX_CONTEXTS]
        contexts = [build_context(uid, list(syntaxes)) for uid, syntaxes in self._proposed]
        self._association = self._peer.associate(contexts)
        if self._association is None:
            raise self._not_supported(item)
        return self._association

    def _close(self, *, abort: bool) -> None:
        association, self._association = self._association, None
        if association is not None and association.is_established:
            (association.abort if abort else association.release)()

    def _not_supported(self, item: DicomObject, detail: str = "") -> SendError:
        kind = f"{item.sop_class_uid.name} {detail}".strip()
        return SendError(f"{item.path}: {self._node} takes no {kind}; send another format, or configure the receiver")

    def _lost(self, item: DicomObject) -> SendError:
        return SendError(
            f"{item.path}: {self._node} ended the connection; see the log of the receiver", is_transient=True
        )


def _context_of(item: DicomObject) -> _Context:
    syntax = item.transfer_syntax_uid
    return _Context(item.sop_class_uid, _UNCOMPRESSED if syntax in _UNCOMPRESSED else (syntax,))


def _read(path: Path) -> Dataset:
    """Read a file. A value of odd length, which the standard does not allow (PS3.5 7.1.1), gets its padding.

    Nodes end the association at such a value without an answer. pydicom writes a value with padding only if it was
    decoded before.
    """
    with raise_study_errors(path):
        dataset = dcmread(path)
        for tag in list(dataset.keys()):
            element = dataset.get_item(tag)
            if isinstance(element, RawDataElement) and len(element.value or b"") % 2:
                dataset[tag]
        return dataset
