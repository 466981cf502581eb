"""The sentences of a check: what is wrong with the corpus, how much of it, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from report_gen.corpora import SPLITS
from report_gen.corpus_qc.results import Copies, CorpusCheck, ImageCheck, Problem
from report_gen.records.study import ViewPosition

FEW = 30
"""With fewer positive studies a finding can hardly be learned, and its score is mostly noise."""
_MANY = 0.05
"""Share of test reports in train from which on a copier scores well."""
_PLURAL = {"impression": "impressions", "report": "reports"}


def find_problems(check: CorpusCheck) -> Iterator[Problem]:
    """The serious problems first."""
    found = [*_structure(check), *_splits(check), *(_images(check.images) if check.images else ()), *_texts(check)]
    yield from sorted(found, key=lambda problem: not problem.serious)


def _structure(check: CorpusCheck) -> Iterator[Problem]:
    if check.repeated_ids:
        yield _serious(f"{check.repeated_ids} study ids occur more than once: give each study one entry in one split")
    if check.damaged:
        yield _serious(f"{check.damaged} studies have NUL characters in their texts: remove them")
    if check.strange_splits:
        names = ", ".join(map(repr, check.strange_splits[:5]))
        yield _serious(f"unknown split {names}: use {', '.join(SPLITS)}, or split anew (report-gen corpus split)")
    if check.empty:
        yield _notice(f"{check.empty} studies have neither image, report nor label, and teach nothing")


def _splits(check: CorpusCheck) -> Iterator[Problem]:
    if check.torn_patients:
        yield _serious(
            f"{check.torn_patients} patients have studies in more than one split, so test scores flatter: "
            "keep each in one (report-gen corpus split)"
        )
    lacking = [name for name in SPLITS if not check.counts[name].studies]
    if lacking:
        yield _notice(f"no studies in {' and '.join(lacking)}: split the corpus (report-gen corpus split)")
    if check.without_patient:
        of = "" if check.without_patient == check.counts["all"].studies else f" of {check.without_patient} studies"
        yield _notice(f"the patients{of} are not known, so none can be seen to stand in two splits")
    for text, by_split in check.in_train.items():
        shares = {split: _shares(copies) for split, copies in by_split.items() if copies.same >= _MANY}
        if shares:
            of = " and ".join(f"{share} of the {split}" for split, share in reversed(shares.items()))
            yield _notice(
                f"{of} {_PLURAL.get(text, text)} stand word for word in train: hold scores against the nearest "
                "training report"
            )


def _shares(copies: Copies) -> str:
    return f"{copies.same:.0%}" + ("" if copies.alike is None else f" (nearly so {copies.alike:.0%})")


def _images(images: ImageCheck) -> Iterator[Problem]:
    if images.missing:
        yield _serious(f"{images.missing} of {images.named} images are missing: put them there")
    if images.unreadable:
        yield _serious(f"{images.unreadable} of {images.named} images cannot be read: copy or export them again")
    if images.blank:
        yield _notice(f"{images.blank} images are blank, all of one grey: leave them out")
    for split, copies in images.in_train.items():
        if copies.same:
            yield _serious(
                f"{copies.same:.1%} of the {split} images stand in train, byte for byte: keep each in one split"
            )
        elif copies.alike:
            yield _notice(f"{copies.alike:.1%} of the {split} images look like one in train: are they copies?")
    found = images.duplicates
    if found.items > found.distinct:
        yield _notice(f"{found.items - found.distinct} images are copies of others, byte for byte")
    if found.alike:
        yield _notice(
            f"{found.alike} images in {found.clusters} groups look like each other: one picture saved twice, or "
            "neighbours in a series"
        )


def _texts(check: CorpusCheck) -> Iterator[Problem]:
    reports = max(check.counts["all"].with_report, 1)
    if check.marked:
        yield _notice(
            f"{check.marked / reports:.0%} of the reports bear marks of de-identification, which a model learns to "
            "write: strip them (report-gen corpus clean)"
        )
    if check.with_prior:
        yield _notice(
            f"{check.with_prior / reports:.0%} of the reports speak of an earlier study, which no draft from one study "
            "can know: drop these sentences (report-gen corpus clean)"
        )
    unknown, named = check.views.get(ViewPosition.UNKNOWN, 0), sum(check.views.values())
    if unknown:
        yield _notice(f"the view of {unknown / named:.0%} of the images is not known")
    rare = [name for name, support in (check.labelled or check.said).items() if 0 < support.present < FEW]
    if rare:
        yield _notice(f"fewer than {FEW} studies have {', '.join(rare)}")


def _serious(text: str) -> Problem:
    return Problem(text=text, serious=True)


def _notice(text: str) -> Problem:
    return Problem(text=text, serious=False)
