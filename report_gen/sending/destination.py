"""Describe where files are sent: a DICOM node `aet@host:port`, or the URL of a DICOMweb service."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from report_gen.errors import UsageError

AUTHORIZATION_VARIABLE = "REPORT_GEN_STOW_TOKEN"
"""Environment variable with the token of a DICOMweb service. The command line would show it to other users."""

_NODE = re.compile(r"(?P<aet>[^@]+)@(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s@:/\[\]]+):(?P<port>[0-9]{1,5})")
_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")
"""PS3.5 6.2, value representation AE: up to 16 printable characters of ASCII without a backslash."""
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_URL = re.compile(r"[A-Za-z0-9._~:/\[\]@!$&'()*+,;=%-]+")
"""Characters of a URL (RFC 3986 section 2) without query and fragment."""
_LARGEST_PORT = 65535
_IPV6 = 6


@dataclass(frozen=True)
class DicomNode:
    """A receiver of C-STORE."""

    ae_title: str
    host: str
    port: int
    with_tls: bool = False

    @property
    def is_loopback(self) -> bool:
        """Whether the receiver is on this computer."""
        return _is_loopback(self.host)

    @property
    def is_encrypted(self) -> bool:
        return self.with_tls

    def __str__(self) -> str:
        return f"{self.ae_title}@{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True)
class WebService:
    """A DICOMweb service that receives STOW-RS."""

    url: str
    """Root of the service, without a slash at its end. Only `urllib.parse` parses it, so that the host which is checked
    is the host to which data of patients are sent."""
    authorization: str = field(default="", repr=False)
    """Value of the header Authorization; "" for none."""

    @property
    def host(self) -> str:
        """Name or IP address of the host, without brackets."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int | None:
        """Port; None for that of the scheme."""
        return urlsplit(self.url).port

    @property
    def path(self) -> str:
        """Path of the root, which is empty or begins with a slash."""
        return urlsplit(self.url).path

    @property
    def is_loopback(self) -> bool:
        """Whether the receiver is on this computer."""
        return _is_loopback(self.host)

    @property
    def is_encrypted(self) -> bool:
        return urlsplit(self.url).scheme == "https"

    def __str__(self) -> str:
        return self.url


def parse_destination(
    text: str, *, allow_remote: bool = False, with_tls: bool = False, token: str = ""
) -> DicomNode | WebService:
    """Parse the receiver of a command line.

    Args:
        text: `aet@host:port`, or the root URL of a DICOMweb service.
        allow_remote: Whether the receiver may be on another computer.
        with_tls: Whether C-STORE is encrypted; a URL says so itself.
        token: Token of a DICOMweb service, or a whole value of the header Authorization such as `Basic ...`.

    Raises:
        UsageError: The text is no receiver, the receiver is on another computer and that is not allowed, or the token
            would be sent unencrypted to another computer. The message does not quote the token.
    """
    is_url = text.lower().startswith(("http://", "https://"))
    found = _parse_url(text, token) if is_url else _parse_node(text, with_tls=with_tls)
    if not found.is_loopback:
        if not allow_remote:
            raise UsageError(
                f"--to {found}: is on another computer; add --allow-remote if patient data may leave this computer"
            )
        if is_url and token and not found.is_encrypted:
            raise UsageError(f"--to {found}: the token would be sent unencrypted; give an https URL")
    return found


def check_ae_title(title: str, option: str) -> str:
    """Return an application entity title without the spaces around it, which do not count.

    Raises:
        UsageError: The text is no title.
    """
    if not title.strip(" ") or not _AE_TITLE.fullmatch(title):
        raise UsageError(
            f"{option} {title!r}: an AE title has up to 16 letters, digits and other characters of ASCII, and no "
            "backslash; correct it"
        )
    return title.strip(" ")


def _parse_node(text: str, *, with_tls: bool) -> DicomNode:
    found = _NODE.fullmatch(text)
    host = found["host"].strip("[]") if found else ""
    if not found or not _is_host(host, found["host"]) or not 0 < int(found["port"]) <= _LARGEST_PORT:
        raise UsageError(
            "--to: write aet@host:port, such as ORTHANC@127.0.0.1:4242, or the URL of a DICOMweb service, such as "
            "http://127.0.0.1:8042/dicom-web"
        )
    title = check_ae_title(found["aet"], "--to")
    return DicomNode(title, host, int(found["port"]), with_tls=with_tls)


def _parse_url(text: str, token: str) -> WebService:
    try:
        parts = urlsplit(text)
        is_complete = _is_host(parts.hostname or "", parts.netloc) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number or too large, or brackets without an address
        parts, is_complete = SplitResult("", "", "", "", ""), False
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise UsageError(
            f"--to: a URL with a password, a query or a fragment is refused; give the token in {AUTHORIZATION_VARIABLE}"
        )
    if not is_complete or not _URL.fullmatch(text):
        raise UsageError("--to: the URL is not valid; write it as http://127.0.0.1:8042/dicom-web")
    if token and not (token.isascii() and token.isprintable()):
        raise UsageError(f"{AUTHORIZATION_VARIABLE}: contains a character that a token cannot have; set it again")
    # A token has no space (RFC 6750 2.1), the value of a header has one after its scheme (RFC 9110 11.6.2).
    authorization = token if " " in token else f"Bearer {token}" if token else ""
    return WebService(text.rstrip("/"), authorization)


def _is_host(host: str, written: str) -> bool:
    """Return whether a text is an IP address or a name of the Internet (RFC 1123 2.1, with underscores).

    Args:
        host: The text, without brackets.
        written: The text as the user wrote it. Brackets are for addresses of IPv6 only.
    """
    if "[" not in written:
        return _HOST_NAME.fullmatch(host) is not None
    try:
        return ip_address(host).version == _IPV6 and "%" not in host  # a zone, which a URL encodes (RFC 6874)
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    """Return whether a host is this computer. A name other than localhost may mean any computer."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
