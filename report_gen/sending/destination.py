"""Describe where files are sent: a DICOM node `aet@host:port`, or the URL of a DICOMweb service."""

from __future__ import annotations

import re
from dataclasses import dataclass

from report_gen.errors import UsageError
from report_gen.web_service import WebService, check_remote, is_host, is_loopback, is_web_url, parse_web_service

AUTHORIZATION_VARIABLE = "REPORT_GEN_STOW_TOKEN"
"""Environment variable with the token of a DICOMweb service. The command line would show it to other users."""

_NODE = re.compile(r"(?P<aet>[^@]+)@(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s@:/\[\]]+):(?P<port>[0-9]{1,5})")
_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")
"""PS3.5 6.2, value representation AE: up to 16 printable characters of ASCII without a backslash."""
_LARGEST_PORT = 65535


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
        return is_loopback(self.host)

    @property
    def is_encrypted(self) -> bool:
        return self.with_tls

    def __str__(self) -> str:
        return f"{self.ae_title}@{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


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
    is_url = is_web_url(text)
    found = _parse_url(text, token) if is_url else _parse_node(text, with_tls=with_tls)
    check_remote(found, "--to", allow_remote=allow_remote, has_token=is_url and bool(token))
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
    if not found or not is_host(host, found["host"]) or not 0 < int(found["port"]) <= _LARGEST_PORT:
        raise UsageError(
            "--to: write aet@host:port, such as ORTHANC@127.0.0.1:4242, or the URL of a DICOMweb service, such as "
            "http://127.0.0.1:8042/dicom-web"
        )
    title = check_ae_title(found["aet"], "--to")
    return DicomNode(title, host, int(found["port"]), with_tls=with_tls)


def _parse_url(text: str, token: str) -> WebService:
    return parse_web_service(
        text, option="--to", example="http://127.0.0.1:8042/dicom-web", token=token, variable=AUTHORIZATION_VARIABLE
    )
