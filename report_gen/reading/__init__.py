"""Read reports back from files: drafts in each format of `report_gen.outputs`, and reports of other programs.

| format | what is kept of a draft |
|---|---|
| JSON | everything; probabilities have four decimals |
| FHIR | everything, as in JSON |
| HL7 | sections, sentences without confidence, findings, notices, model, program version, time and study |
| DICOM SR (`dicom-sr`) | as HL7, and UIDs of the images; of a finding its state, side, zones and probability |
| DICOM SR (`dicom-sr-findings`) | as `dicom-sr`, but no sections |
| TXT | sections, notices, what the user set of findings, the model with 12 digits of the weights; no confidence |

The format `dicom-sr` has the findings in the order present, uncertain, absent, and none of unknown state; Basic Text SR
has two decimals of a probability, and "< 0.01" is read as 0.01, "> 0.99" as 0.99. The format `dicom-sr-findings` has
side and zones only of findings with a known site. Neither has a location of an absent finding. Both name a study of
pictures by a derived UID.

Of the model, each has its name, the SHA-256 of its weights, its revision, and the host to which the images were sent.
All but TXT, which has no such findings, say that findings were read from the text of the draft.

Only JSON and FHIR say what the confidence of sentences measures, have the thresholds of findings, and say how a draft
was compared with a prior study; DICOM SR refers to the images of that study as evidence.

Control characters are removed from texts when a draft is written. Of a report of another program only the texts are
kept.
"""

from typing import TYPE_CHECKING

from report_gen.lazy import lazy_exports

if TYPE_CHECKING:
    from report_gen.reading.report_files import read_report
    from report_gen.reading.report_patients import names_other_patient
    from report_gen.reading.structured_reports import StructuredReport, read_structured_report
else:  # drafts in JSON and TXT are read without pydicom
    __getattr__ = lazy_exports(
        __name__,
        {
            "report_files": ("read_report",),
            "report_patients": ("names_other_patient",),
            "structured_reports": ("StructuredReport", "read_structured_report"),
        },
    )

__all__ = ["StructuredReport", "names_other_patient", "read_report", "read_structured_report"]
