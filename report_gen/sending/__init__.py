"""Send DICOM files to an archive: C-STORE (PS3.4 Annex B) with storage commitment (Annex J), and STOW-RS (PS3.18 10.5).

The libraries for the network are imported when a receiver is opened, and belong to the extra `clinical`.
"""

from report_gen.sending.delivery import Outcome, SendResult, send_files
from report_gen.sending.destination import (
    AUTHORIZATION_VARIABLE,
    DicomNode,
    check_ae_title,
    parse_destination,
)
from report_gen.sending.dicom_object import DicomObject, FoundObjects, find_objects
from report_gen.sending.receivers import Receiver, open_commitment, open_receiver
from report_gen.sending.tls import TlsFiles
from report_gen.web_service import WebService

__all__ = [
    "AUTHORIZATION_VARIABLE",
    "DicomNode",
    "DicomObject",
    "FoundObjects",
    "Outcome",
    "Receiver",
    "SendResult",
    "TlsFiles",
    "WebService",
    "check_ae_title",
    "find_objects",
    "open_commitment",
    "open_receiver",
    "parse_destination",
    "send_files",
]
