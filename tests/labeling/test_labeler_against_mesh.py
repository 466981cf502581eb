"""Agreement of the labeler with human coders and with sentences that were labeled before the labeler read them.

`python -m report_gen_training.benchmarks.labeler_agreement` prints the tables. The phrases and the mapping of MeSH
codes were developed with the Indiana University reports, so the figures do not predict the agreement for reports of
another hospital.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from report_gen_training.benchmarks.labeler_agreement import (
    MINIMUM_SUPPORT,
    count_agreement,
    mesh_rule,
    pool,
    read_sentences,
    sentence_faults,
)
from report_gen_training.benchmarks.labeler_codings import CodedReport, read_mesh

from report_gen.labeling import chest_xray, label_findings

SENTENCES = read_sentences(Path(__file__).with_name("unseen_sentences.tsv"))
"""Sentences whose labels were written before the labeler read them. No label was changed afterwards."""


@pytest.mark.realdata
def test_agreement_with_coders(shared: Path) -> None:
    reports = read_mesh(shared / "data" / "iu_xray" / "NLMCXR_reports.tgz")
    labels = [label_findings(report.text) for report in reports]
    agreements = [count_agreement(reports, labels, name, mesh_rule(name)) for name in chest_xray().findings]
    supported = [agreement for agreement in agreements if agreement.support >= MINIMUM_SUPPORT]
    assert len(reports) > 3800
    assert pool(supported).f1 > 0.93
    assert sum(agreement.f1 for agreement in supported) / len(supported) > 0.87
    assert min(agreement.f1 for agreement in supported) > 0.68


def test_sentences_that_were_labeled_before_the_labeler_read_them() -> None:
    wrong = {row["text"] for row in SENTENCES if sentence_faults(row)}
    assert len(SENTENCES) == 159
    assert wrong == {
        "I cannot tell whether the opacity is a mass.",  # the definite article states the opacity
        "On the prior examination there was edema; now there is none.",  # `none` of the sentence before
    }


def test_agreement_counts_reports() -> None:
    reports = [
        CodedReport(text="Effusion.", coded={"Pleural Effusion": True}),
        CodedReport(text="No effusion.", coded={"Pleural Effusion": True}),
        CodedReport(text="Effusion.", coded={"Pleural Effusion": False}),
        CodedReport(text="Effusion.", coded={}),
    ]
    labels = [label_findings(report.text) for report in reports]
    agreement = count_agreement(reports, labels, "Pleural Effusion", mesh_rule("Pleural Effusion"))
    assert (agreement.both, agreement.labeled_only, agreement.coded_only) == (1, 1, 1)
    assert (agreement.precision, agreement.recall, agreement.f1, agreement.support) == (0.5, 0.5, 0.5, 2)
