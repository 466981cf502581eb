"""The registry of report metrics: every metric that needs no model weights, under one name each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from report_gen.errors import UsageError
from report_gen.metrics.bleu import bleu
from report_gen.metrics.chrf import chrf
from report_gen.metrics.cider import cider_d
from report_gen.metrics.exact_stem import exact_stem
from report_gen.metrics.finding_scores import finding_measures
from report_gen.metrics.length_ratio import length_ratio
from report_gen.metrics.measure import Measure
from report_gen.metrics.meteor import Meteor
from report_gen.metrics.metric import ReportComparison, ReportMetric
from report_gen.metrics.probability_metric import PROBABILITY_METRICS
from report_gen.metrics.rouge import rouge_l_coco, rouge_score

_FOLDER = Path(__file__).parent / "modules"


def metric_folder(name: str) -> str:
    """Return the folder of a metric for `evaluate.load`, such as `evaluate.load(metric_folder("report_bleu"))`.

    Raises:
        UsageError: No metric has this name.
    """
    names = (*METRICS, *PROBABILITY_METRICS)
    if name not in names:
        raise UsageError(f"there is no metric {name!r}; use one of {', '.join(names)}")
    return str(_FOLDER / name)


@contextmanager
def running_meteor() -> Iterator[ReportMetric]:
    """Start the METEOR 1.5 program once for many systems, and give the metric that uses it.

    Raises:
        MeteorError: Java or pycocoevalcap is not installed, or Java cannot be started.
    """
    with Meteor() as program:
        yield replace(METEOR, measure=lambda compared: (program(compared.prepared),))


def _meteor_once(compared: ReportComparison) -> tuple[Measure, ...]:
    with running_meteor() as metric:
        return metric.measure(compared)


BLEU = ReportMetric(
    name="report_bleu",
    description="BLEU-1 to BLEU-4 of the corpus, 0 to 1, as coco-caption computes them.",
    citation="""@inproceedings{papineni2002bleu,
  title = {{BLEU}: a method for automatic evaluation of machine translation},
  author = {Papineni, Kishore and Roukos, Salim and Ward, Todd and Zhu, Wei-Jing},
  booktitle = {ACL},
  year = {2002}
}""",
    measure=lambda compared: (bleu(compared.prepared),),
)

ROUGE_L = ReportMetric(
    name="report_rouge_l",
    description="ROUGE-L with beta 1.2, mean over reports, 0 to 1, as coco-caption computes it.",
    citation="""@inproceedings{lin2004rouge,
  title = {{ROUGE}: a package for automatic evaluation of summaries},
  author = {Lin, Chin-Yew},
  booktitle = {Text Summarization Branches Out},
  year = {2004}
}""",
    measure=lambda compared: (rouge_l_coco(compared.prepared),),
)

CIDER_D = ReportMetric(
    name="report_cider_d",
    description="CIDEr-D with document frequencies of the references, 0 to 10, as coco-caption computes it.",
    citation="""@inproceedings{vedantam2015cider,
  title = {{CIDEr}: consensus-based image description evaluation},
  author = {Vedantam, Ramakrishna and Zitnick, C. Lawrence and Parikh, Devi},
  booktitle = {CVPR},
  year = {2015}
}""",
    measure=lambda compared: (cider_d(compared.prepared),),
)

ROUGE = ReportMetric(
    name="report_rouge",
    description="ROUGE-1, ROUGE-2 and ROUGE-L F1, mean over reports, 0 to 1, as rouge-score computes them.",
    citation=ROUGE_L.citation,
    measure=lambda compared: (rouge_score(compared.prepared),),
)

CHRF = ReportMetric(
    name="report_chrf",
    description="chrF2 of the corpus, 0 to 100, as sacrebleu computes it.",
    citation="""@inproceedings{popovic2015chrf,
  title = {{chrF}: character n-gram {F}-score for automatic {MT} evaluation},
  author = {Popovi{\\'c}, Maja},
  booktitle = {WMT},
  year = {2015}
}""",
    measure=lambda compared: (chrf(compared.prepared),),
)

LENGTH_RATIO = ReportMetric(
    name="report_length_ratio",
    description="Words of the predictions divided by words of the references, over the whole corpus.",
    citation="",
    measure=lambda compared: (length_ratio(compared.prepared),),
)

EXACT_STEM = ReportMetric(
    name="report_exact_stem",
    description="Unigram F of equal words and stems (METEOR of 2005 without synonyms), mean over reports, 0 to 1.",
    citation="""@inproceedings{banerjee2005meteor,
  title = {{METEOR}: an automatic metric for {MT} evaluation with improved correlation with human judgments},
  author = {Banerjee, Satanjeev and Lavie, Alon},
  booktitle = {ACL Workshop on Intrinsic and Extrinsic Evaluation Measures},
  year = {2005}
}""",
    measure=lambda compared: (exact_stem(compared.prepared),),
)

METEOR = ReportMetric(
    name="report_meteor",
    description="METEOR 1.5 of the corpus, 0 to 1, by its Java program; needs Java and pycocoevalcap.",
    citation="""@inproceedings{denkowski2014meteor,
  title = {Meteor universal: language specific translation evaluation for any target language},
  author = {Denkowski, Michael and Lavie, Alon},
  booktitle = {WMT},
  year = {2014}
}""",
    measure=_meteor_once,
)

FINDINGS_F1 = ReportMetric(
    name="report_findings",
    description="Precision, recall and F1 of the 14 CheXpert observations, in every average, 0 to 1, labeled by rules.",
    citation="""@inproceedings{irvin2019chexpert,
  title = {{CheXpert}: a large chest radiograph dataset with uncertainty labels and expert comparison},
  author = {Irvin, Jeremy and others},
  booktitle = {AAAI},
  year = {2019}
}""",
    measure=lambda compared: finding_measures(
        compared.predictions.states, compared.references.states, schema=compared.references.schema
    ),
)

WORDING_METRICS = (BLEU, ROUGE_L, CIDER_D, ROUGE, CHRF, LENGTH_RATIO)
"""Metrics of the wording that need NumPy alone."""

METRICS: Mapping[str, ReportMetric] = MappingProxyType(
    {metric.name: metric for metric in (*WORDING_METRICS, EXACT_STEM, METEOR, FINDINGS_F1)}
)
"""Every metric that needs no model weights, by name."""
