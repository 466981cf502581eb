"""Open associations with a DICOM node (PS3.8 7.1), and find out why one cannot be opened."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.events import EventType
from pynetdicom.presentation import PresentationContext

from report_gen.errors import ReceiverError
from report_gen.sending.destination import DicomNode
from report_gen.sending.tls import TlsFiles, tls_failure

_TRANSIENT_REJECTION = 2
"""Result of a rejection: 1 for permanent, 2 for transient (PS3.8 9.3.4)."""
_UNKNOWN_CALLED_TITLE = (1, 7)
_UNKNOWN_CALLING_TITLE = (1, 3)
"""Source and reason of a rejection (PS3.8 9.3.4)."""

Handlers = Sequence[tuple[EventType, Callable[..., Any]]]
"""Functions that handle the requests of the node, by the kind of the request."""


class DicomPeer:
    """A DICOM node with which associations are opened.

    Args:
        node: The DICOM node.
        calling_aet: Application entity title of this sender.
        timeout: Seconds that the node may take for an answer.
        tls: Certificates, if the node uses TLS.
    """

    def __init__(self, node: DicomNode, *, calling_aet: str, timeout: float, tls: TlsFiles) -> None:
        self.node, self.timeout = node, timeout
        self._tls = (tls.context(), node.host) if node.with_tls else None
        self._entity = AE(calling_aet)
        self._entity.connection_timeout = self._entity.acse_timeout = timeout
        self._entity.dimse_timeout = self._entity.network_timeout = timeout

    def associate(self, contexts: Sequence[PresentationContext], handlers: Handlers = ()) -> Association | None:
        """Return an association, or None if the node accepts none of the presentation contexts.

        Args:
            contexts: The presentation contexts to propose, at most 128.
            handlers: Functions that handle requests of the node.

        Raises:
            ReceiverError: The node cannot be reached, or rejects the association.
        """
        try:
            association = self._entity.associate(
                self.node.host,
                self.node.port,
                contexts=[*contexts],
                ae_title=self.node.ae_title,
                tls_args=self._tls,
                evt_handlers=[*handlers],
            )
        except OSError as error:  # the name of the host cannot be resolved
            raise self._unreachable(error) from error
        if association.is_established:
            return association
        if association.is_rejected:
            raise self._rejected(association)
        if association.rejected_contexts:  # none was accepted
            return None
        raise self._diagnose()

    def silent(self) -> ReceiverError:
        """Return the error of a node that does not answer in time."""
        return ReceiverError(
            f"{self.node}: gave no answer in {self.timeout:.0f} s; check the receiver or raise --timeout",
            is_transient=True,
        )

    def _rejected(self, association: Association) -> ReceiverError:
        answer = association.acceptor.primitive
        if answer is None:
            return self._diagnose()
        reason = (answer.result_source, answer.diagnostic)
        if reason == _UNKNOWN_CALLED_TITLE:
            return ReceiverError(f"{self.node}: does not have this AE title; correct the part of --to before the @")
        if reason == _UNKNOWN_CALLING_TITLE:
            return ReceiverError(
                f"{self.node}: does not know the AE title {self._entity.ae_title}; register it there, or give "
                "another one with --calling-aet"
            )
        return ReceiverError(
            f"{self.node}: rejected the connection ({answer.reason_str}); see the log of the receiver",
            is_transient=answer.result == _TRANSIENT_REJECTION,
        )

    def _diagnose(self) -> ReceiverError:
        """Return why no association was made, which pynetdicom only writes to its log."""
        try:
            with socket.create_connection((self.node.host, self.node.port), timeout=self.timeout) as connection:
                if self._tls:
                    context, name = self._tls
                    try:
                        context.wrap_socket(connection, server_hostname=name).close()
                    except (ssl.SSLError, ConnectionError) as error:
                        return tls_failure(self.node, error, without_tls="leave --tls out")
        except OSError as error:
            return self._unreachable(error)
        hint = "check --tls and --tls-cert" if self.node.with_tls else "check whether it needs --tls"
        return ReceiverError(
            f"{self.node}: did not answer as a DICOM node; {hint}, and whether the port is right", is_transient=True
        )

    def _unreachable(self, error: OSError) -> ReceiverError:
        is_permanent = isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN
        reason = "timed out" if isinstance(error, TimeoutError) else error.strerror
        return ReceiverError(
            f"{self.node}: cannot be reached ({reason}); check host and port, and whether the receiver runs",
            is_transient=not is_permanent,
        )
