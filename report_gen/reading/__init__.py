"""Read reports back from files: drafts in each format of `report_gen.outputs`, and reports of other programs.

| format | what is kept of a draft |
|---|---|
| JSON | everything; probabilities have four decimals |
| FHIR | everything, as in JSON |
| HL7 | sections, sentences without confidence, findings, notices, model, weights, program version, time and study |
| DICOM SR | text of the sections and the study; sentences are split again |
| TXT | sections, notices, name of the model and 12 digits of the weights; sentences are split again |

Control characters are removed from texts when a draft is written. A report of another program has its texts only.
"""

from report_gen.reading.report_files import read_report
from report_gen.reading.structured_reports import StructuredReport, read_structured_report

__all__ = ["StructuredReport", "read_report", "read_structured_report"]
