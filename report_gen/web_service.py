"""Addresses of web services that may get data of patients: what a URL may be, and whether it is this computer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from report_gen.errors import UsageError

_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_URL = re.compile(r"[A-Za-z0-9._~:/\[\]@!$&'()*+,;=%-]+")
"""Characters of a URL (RFC 3986 section 2) without query and fragment."""
_SCHEMES = ("http://", "https://")
_IPV6 = 6


class Address(Protocol):
    """Where data of patients are sent."""

    @property
    def is_loopback(self) -> bool:
        """Whether the receiver is on this computer."""

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection uses TLS."""


@dataclass(frozen=True)
class WebService:
    """A web service, such as a DICOMweb service that receives STOW-RS."""

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
    def secret(self) -> str:
        """The token, or the credentials of another scheme; "" for none."""
        return self.authorization.rpartition(" ")[2]

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)

    @property
    def is_encrypted(self) -> bool:
        return urlsplit(self.url).scheme == "https"

    def __str__(self) -> str:
        return self.url


def is_web_url(text: str) -> bool:
    """Return whether a text begins as a URL of the web does."""
    return text.lower().startswith(_SCHEMES)


def parse_web_service(text: str, *, option: str, example: str, token: str, variable: str) -> WebService:
    """Parse the root URL of a web service.

    Args:
        text: The URL.
        option: Where the user gave the URL, for the errors.
        example: A URL as it should be, for the errors.
        token: Token, or a whole value of the header Authorization such as `Basic ...`; "" for none.
        variable: Environment variable of the token, for the errors.

    Raises:
        UsageError: The text is no such URL, or the token has a character that a header cannot have. The message does
            not quote the token.
    """
    try:
        parts = urlsplit(text)
        is_complete = is_host(parts.hostname or "", parts.netloc) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number or too large, or brackets without an address
        parts, is_complete = SplitResult("", "", "", "", ""), False
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise UsageError(
            f"{option}: a URL with a password, a query or a fragment is refused; give the token in {variable}"
        )
    if not is_complete or not is_web_url(text) or not _URL.fullmatch(text):
        raise UsageError(f"{option}: the URL is not valid; write it as {example}")
    if token and not (token.isascii() and token.isprintable()):
        raise UsageError(f"{variable}: contains a character that a token cannot have; set it again")
    # A token has no space (RFC 6750 2.1), the value of a header has one after its scheme (RFC 9110 11.6.2).
    authorization = token if " " in token else f"Bearer {token}" if token else ""
    return WebService(text.rstrip("/"), authorization)


def check_remote(address: Address, option: str, *, allow_remote: bool, has_token: bool) -> None:
    """Check that data of patients may be sent to an address.

    Args:
        address: The address.
        option: Where the user gave it, for the errors.
        allow_remote: Whether it may be on another computer.
        has_token: Whether a token is sent with the data.

    Raises:
        UsageError: The address is on another computer and that is not allowed, or the token would be sent unencrypted
            to another computer.
    """
    if address.is_loopback:
        return
    if not allow_remote:
        raise UsageError(
            f"{option} {address}: is on another computer; add --allow-remote if patient data may leave this computer"
        )
    if has_token and not address.is_encrypted:
        raise UsageError(f"{option} {address}: the token would be sent unencrypted; give an https URL")


def is_host(host: str, written: str) -> bool:
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


def is_loopback(host: str) -> bool:
    """Return whether a host is this computer. A name other than localhost may mean any computer."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def status_name(status: int) -> str:
    """Return how messages name a status of HTTP, such as `HTTP 404 Not Found`."""
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    return f"HTTP {status} {phrase}".strip()
