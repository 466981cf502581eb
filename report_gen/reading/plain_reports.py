"""Make reports of texts without a draft's provenance."""

from __future__ import annotations

from collections.abc import Mapping

from report_gen.labeling import cut_report
from report_gen.records import Provenance, Report, Section, SectionName, split_sentences


def plain_report(texts: Mapping[str, str], study_instance_uid: str | None = None) -> Report:
    """Return the report with the texts under `findings` and `impression`.

    Args:
        texts: Text by the name of the section in lower case, as `cut_report` returns it. Other sections are left out.
        study_instance_uid: The study, if known.
    """
    return Report(
        sections=tuple(
            Section(name, sentences)
            for name in SectionName
            if (sentences := split_sentences(texts.get(name.value.lower(), "")))
        ),
        findings=(),
        notices=(),
        provenance=empty_provenance(study_instance_uid),
    )


def cut_plain_report(text: str, study_instance_uid: str | None = None) -> Report:
    """Return the report in a text, split by its headings. Text without headings belongs to the findings."""
    return plain_report(cut_report(text), study_instance_uid)


def empty_provenance(study_instance_uid: str | None = None) -> Provenance:
    """Return the provenance of a report about whose origin nothing is known."""
    return Provenance(
        model_name="",
        weights_sha256="",
        program_version="",
        created="",
        study_instance_uid=study_instance_uid,
        inputs=(),
        decoding={},
    )
