"""Set up TLS from files of certificates, and say why a TLS connection was not made."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from report_gen.errors import ReceiverError, UsageError

_NO_RECORD = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""Reasons of OpenSSL, by its version, for an answer that is not in the records of TLS (RFC 8446 5.1)."""


@dataclass(frozen=True)
class TlsFiles:
    """Certificates for TLS, PEM."""

    ca: Path | None = None
    """Certificates of the authorities that are trusted; None for those of the system."""
    certificate: Path | None = None
    """Certificate of this sender, if the receiver asks for one."""
    key: Path | None = None
    """Private key of `certificate`, if it is not in the same file."""

    def context(self) -> ssl.SSLContext:
        """Return the settings of TLS; the certificate of the receiver is verified.

        Raises:
            UsageError: A file cannot be read, or contains no certificate or key.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"--tls-ca {self.ca}: no certificates can be read; check the file") from error
        if self.certificate is not None:
            try:
                # Without a password OpenSSL would ask on the terminal for that of an encrypted key.
                context.load_cert_chain(self.certificate, self.key, password=lambda: "")
            except (OSError, ssl.SSLError) as error:
                raise UsageError(
                    f"--tls-cert {self.certificate}: no certificate with an unencrypted private key that fits; check "
                    "the files of --tls-cert and --tls-key"
                ) from error
        return context


def tls_failure(receiver: object, error: OSError | None, *, without_tls: str) -> ReceiverError:
    """Return the error of a receiver with which no TLS connection was made.

    Args:
        receiver: The receiver.
        error: Why TLS failed; None if the library does not say it.
        without_tls: What to do to send without TLS.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message
    elif isinstance(error, ssl.SSLError) and error.reason in _NO_RECORD:
        return ReceiverError(
            f"{receiver}: does not use TLS on this port; correct the port, or {without_tls} if it has no TLS"
        )
    elif isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ConnectionError):
        return ReceiverError(
            f"{receiver}: closed the connection before TLS was agreed; check whether this port has TLS, and "
            "whether the receiver requires --tls-cert",
            is_transient=True,
        )
    else:
        reason = (getattr(error, "reason", None) or "protocol error").replace("_", " ").lower()
    return ReceiverError(f"{receiver}: TLS failed ({reason}); check --tls-ca and --tls-cert")
