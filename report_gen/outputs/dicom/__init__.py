"""Write drafts as DICOM objects: structured reports, a page in PDF, and a key image.

Every object is filed under the study of its images: patient and study attributes are those of one header. Each object
states that it is a preliminary draft of a device, and names the model by a Device UID that is derived from the weights.
"""

from report_gen.outputs.dicom.encapsulated_pdf import format_dicom_pdf
from report_gen.outputs.dicom.findings_sr import format_dicom_sr_findings
from report_gen.outputs.dicom.secondary_capture import format_dicom_sc
from report_gen.outputs.dicom.text_sr import format_dicom_sr

__all__ = ["format_dicom_pdf", "format_dicom_sc", "format_dicom_sr", "format_dicom_sr_findings"]
