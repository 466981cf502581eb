"""Store DICOM files on a DICOMweb service by STOW-RS (PS3.18 10.5)."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from http.client import BadStatusLine, IncompleteRead
from types import TracebackType
from typing import Any, Self

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from report_gen.errors import ReceiverError, SendError
from report_gen.imaging import raise_study_errors
from report_gen.sending.destination import AUTHORIZATION_VARIABLE
from report_gen.sending.dicom_object import DicomObject
from report_gen.sending.status import describe_status, is_transient
from report_gen.sending.tls import TlsFiles, tls_failure
from report_gen.web_service import WebService, status_name

_LONGEST_ANSWER = 2**20
_BLOCK_BYTES = 2**16

_BUSY = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
_NO_SERVICE = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
_WRONG_STUDY = (HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT)
_NO_PERMISSION = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

# Tags of the Store Instances Response (PS3.18 I.2) in the DICOM JSON Model.
_STORED_SEQUENCE, _FAILED_SEQUENCE = "00081199", "00081198"
_SOP_INSTANCE_UID, _WARNING_REASON, _FAILURE_REASON = "00081155", "00081196", "00081197"


class StowService:
    """A DICOMweb service that stores files, one in each request.

    Neither proxies nor passwords of the environment are used, and redirections are not followed: the data of patients
    and the token go to the host that the user named and to no other.

    Args:
        service: The service.
        timeout: Seconds that the service may take for an answer.
        tls: Certificates.
    """

    def __init__(self, service: WebService, *, timeout: float, tls: TlsFiles) -> None:
        self._service, self._timeout = service, timeout
        self._path = f"{service.path}/studies"
        self._pool = (
            urllib3.HTTPSConnectionPool(service.host, service.port, timeout=timeout, ssl_context=tls.context())
            if service.is_encrypted
            else urllib3.HTTPConnectionPool(service.host, service.port, timeout=timeout)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._pool.close()

    def store(self, item: DicomObject) -> str:
        """Send a file and wait for the answer, see `Receiver.store`."""
        with raise_study_errors(item.path):
            content = item.path.read_bytes()
        boundary = secrets.token_hex(16)
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        headers = {
            "Accept": "application/dicom+json",
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        }
        if self._service.authorization:
            headers["Authorization"] = self._service.authorization
        status, answer = self._post(head + content + f"\r\n--{boundary}--\r\n".encode(), headers)
        self._check_http_status(item, status, answer)
        return self._check_answer(item, answer)

    def _post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, Any]:
        """Return the HTTP status, and the answer if it is JSON."""
        deadline = time.monotonic() + self._timeout
        try:
            response = self._pool.request(
                "POST",
                self._path,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            content = b""
            try:
                while len(content) < _LONGEST_ANSWER and (block := response.read1(_BLOCK_BYTES)):
                    content += block
                    if time.monotonic() > deadline:
                        raise self._silent()
            finally:
                response.close()
        except NewConnectionError as error:  # a subclass of ConnectTimeoutError
            raise self._unreachable(error) from error
        except (ConnectTimeoutError, ReadTimeoutError) as error:
            raise self._silent() from error
        except SSLError as error:
            cause = error.args[0] if error.args and isinstance(error.args[0], OSError) else None
            raise tls_failure(self._service, cause, without_tls="give an http URL") from error
        except HTTPError as error:
            raise self._broken(error) from error
        try:
            return response.status, json.loads(content)
        except (ValueError, RecursionError):
            return response.status, None

    def _check_http_status(self, item: DicomObject, status: int, answer: Any) -> None:
        name = status_name(status)
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            raise ReceiverError(f"{self._service}: redirects to another URL ({name}); give that URL with --to")
        if status in _NO_PERMISSION:
            remedy = "check" if self._service.authorization else "set"
            raise ReceiverError(
                f"{self._service}: does not permit the request ({name}); {remedy} the token in {AUTHORIZATION_VARIABLE}"
            )
        if status in _NO_SERVICE:
            raise ReceiverError(
                f"{self._service}: has no STOW-RS service ({name}); give the root of its DICOMweb service, such as "
                "http://127.0.0.1:8042/dicom-web"
            )
        if status in _WRONG_STUDY and self._path.endswith("/studies/studies"):  # read as a study named `studies`
            raise ReceiverError(
                f"{self._service}: refuses the request ({name}); give the root of its service, without /studies"
            )
        if status >= HTTPStatus.BAD_REQUEST:
            codes = list(_codes(answer, _FAILED_SEQUENCE, _FAILURE_REASON))
            reason = ", ".join(map(describe_status, codes))
            raise SendError(
                f"{item.path}: refused by {self._service}: {name}{f' ({reason})' if reason else ''}; see the log of "
                "the receiver",
                is_transient=status in _BUSY or any(map(is_transient, codes)),
            )

    def _check_answer(self, item: DicomObject, answer: Any) -> str:
        """Return the warnings of the Store Instances Response (PS3.18 10.5.3) of a file that was stored."""
        if not isinstance(answer, dict | list):
            raise self._not_stow()
        failed = list(_items(answer, _FAILED_SEQUENCE))  # Orthanc writes an empty one if all files are stored
        if failed:
            codes = list(_codes(answer, _FAILED_SEQUENCE, _FAILURE_REASON))
            reason = ", ".join(map(describe_status, codes)) or "no reason is stated"
            raise SendError(
                f"{item.path}: refused by {self._service}: {reason}; see the log of the receiver",
                is_transient=any(map(is_transient, codes)),
            )
        stored = [value for found in _items(answer, _STORED_SEQUENCE) for value in _values(found, _SOP_INSTANCE_UID)]
        if item.sop_instance_uid not in stored:
            raise SendError(f"{item.path}: {self._service} did not confirm that it stored the file; check the archive")
        return ", ".join(describe_status(code) for code in _codes(answer, _STORED_SEQUENCE, _WARNING_REASON))

    def _silent(self) -> ReceiverError:
        return ReceiverError(
            f"{self._service}: gave no answer in {self._timeout:.0f} s; check the receiver or raise --timeout",
            is_transient=True,
        )

    def _not_stow(self) -> ReceiverError:
        return ReceiverError(
            f"{self._service}: did not answer as a STOW-RS service; give the root of its DICOMweb service, such as "
            "http://127.0.0.1:8042/dicom-web"
        )

    def _unreachable(self, error: NewConnectionError) -> ReceiverError:
        reason = getattr(error.__cause__, "strerror", None) or "no connection"
        return ReceiverError(
            f"{self._service}: cannot be reached ({reason}); check host and port, and whether the receiver runs",
            is_transient=not isinstance(error, NameResolutionError),
        )

    def _broken(self, error: HTTPError) -> ReceiverError:
        """Return the error of a connection that was made and gave no whole answer."""
        cause = error.args[-1] if error.args else None
        is_other_protocol = isinstance(cause, BadStatusLine) and not isinstance(cause, ConnectionError)
        if is_other_protocol or isinstance(error, DecodeError):
            return self._not_stow()
        if isinstance(cause, IncompleteRead):
            return ReceiverError(
                f"{self._service}: closed the connection in its answer; see the log of the receiver", is_transient=True
            )
        hint = "see" if self._service.is_encrypted else "check whether it needs an https URL, and see"
        return ReceiverError(
            f"{self._service}: closed the connection before it answered; {hint} the log of the receiver",
            is_transient=True,
        )


def _items(answer: Any, sequence: str) -> Iterator[dict[str, Any]]:
    """Yield the items of a sequence of a data set, or of a list of data sets, in the DICOM JSON Model (PS3.18 F.2)."""
    for dataset in answer if isinstance(answer, list) else [answer]:
        yield from (item for item in _values(dataset, sequence) if isinstance(item, dict))


def _codes(answer: Any, sequence: str, reason: str) -> Iterator[int]:
    for item in _items(answer, sequence):
        yield from (code for code in _values(item, reason) if isinstance(code, int) and 0 <= code <= 0xFFFF)


def _values(dataset: Any, tag: str) -> list[Any]:
    element = dataset.get(tag) if isinstance(dataset, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []
