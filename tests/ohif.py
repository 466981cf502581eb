"""OHIF for tests: a DICOM viewer that this project did not write, served on this computer beside an archive.

    npm pack @ohif/app@3.12.10 && tar -xzf ohif-app-3.12.10.tgz && export REPORT_GEN_OHIF=$PWD/package

The package of npm contains the built site; nothing is installed or run but the site in a browser.
"""

from __future__ import annotations

import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

VARIABLE = "REPORT_GEN_OHIF"
"""Environment variable that names the folder of the unpacked package of npm."""

_ARCHIVE = "/dicom-web"
_SOURCE = {
    "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
    "sourceName": "archive",
    "configuration": {
        "friendlyName": "archive",
        "name": "archive",
        "qidoRoot": _ARCHIVE,
        "wadoRoot": _ARCHIVE,
        "wadoUriRoot": _ARCHIVE,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True,
        "bulkDataURI": {"enabled": True},
        "singlepart": "bulkdata",  # with "pdf", OHIF asks the archive to render documents, which Orthanc cannot
    },
}
_SETTINGS = {
    "routerBasename": None,
    "extensions": [],
    "modes": [],
    "showStudyList": True,
    "defaultDataSourceName": "archive",
    "dataSources": [_SOURCE],
    "investigationalUseDialog": {"option": "never"},
    "customizationService": {"ohif.tours": {"$set": []}},  # the tour for new users would cover the viewer
}

# A part of OHIF, onnxruntime-web, reads `__filename` of Node.js if it is evaluated after its script was loaded, which
# depends on the timing. Without the variable, the window then stays empty.
_CONFIGURATION = f"var __filename = ''; window.config = {json.dumps(_SETTINGS)};"


@contextmanager
def running_ohif(archive: str) -> Iterator[str]:
    """Serve OHIF and the DICOMweb service of an archive on one port. Skip the test if OHIF is missing.

    Args:
        archive: URL of the archive, below which its DICOMweb service is `/dicom-web`.

    Yields:
        URL of the viewer.
    """
    with _Server(_find_site(), archive) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _find_site() -> Path:
    """Return the folder of the built site."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"the viewer OHIF is missing: tests/ohif.py says how to get it and to set {VARIABLE}")
    site = Path(folder, "dist").resolve()
    assert (site / "index.html").is_file(), f"{VARIABLE} is {folder!r}, which is not the package @ohif/app"
    return site


class _Server(ThreadingHTTPServer):
    def __init__(self, site: Path, archive: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.site, self.archive = site, archive

    def handle_error(self, *_: object) -> None:
        pass  # the browser ended a connection


class _Handler(SimpleHTTPRequestHandler):
    server: _Server

    def __init__(self, request: Any, client: Any, server: _Server) -> None:
        super().__init__(request, client, server, directory=str(server.site))

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith(f"{_ARCHIVE}/"):
            self._forward()
        elif path == "/app-config.js":
            self._answer(200, "text/javascript", _CONFIGURATION.encode())
        else:
            if not (self.server.site / path.lstrip("/")).is_file():
                self.path = "/index.html"  # a page of the application, as its serve.json says
            super().do_GET()

    def _forward(self) -> None:
        # Orthanc 1.10 takes `%2C` in includefield for a part of a name, and then leaves Study Description out.
        url = self.server.archive + self.path.replace("%2C", ",")
        # From the host Orthanc makes the URLs of bulk data, which so lead back here.
        headers = {"Accept": self.headers["Accept"] or "*/*", "Host": self.headers["Host"]}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                self._answer(answer.status, answer.headers["Content-Type"], answer.read())
        except urllib.error.HTTPError as error:
            with error:
                self._answer(error.code, "text/plain", error.read())

    def _answer(self, status: int, media_type: str | None, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type or "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
