"""Set up TLS from files of certificates."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from report_gen.errors import UsageError


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


def tls_reason(error: ssl.SSLError) -> str:
    """Return why TLS failed, without the source line of OpenSSL."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.reason or "protocol error").replace("_", " ").lower()
