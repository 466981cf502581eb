"""Recognize sentences about an earlier study, which the images of one study alone cannot support."""

from __future__ import annotations

import re

from report_gen.auditing.fragments import tidy_sentence


def mentions_prior(sentence: str) -> bool:
    """Return whether a sentence refers to an earlier study or to change since then.

    "No prior for comparison" counts as well, because it is also about studies that the model does not get.
    """
    return _PRIOR.search(_NOT_PRIOR.sub(" ", sentence)) is not None


def remove_prior(sentence: str) -> str:
    """Return a sentence without its comparison with an earlier study, or an empty string if nothing can remain.

    "Stable cardiomegaly." becomes "Cardiomegaly.", but "The mediastinum is stable." states nothing else.
    """
    if not mentions_prior(sentence):
        return sentence
    remaining = tidy_sentence(_CHANGE.sub("", sentence))
    return "" if mentions_prior(remaining) else remaining


_PRIOR = re.compile(
    r"""\b(?:
        priors? | previous(?:ly)? | earlier | formerly | as\ before | last\ (?:exam\w*|study|film|radiograph)
      | compar(?:ed?|ing|isons?|able) | old\ (?:films?|exam\w*|stud(?:y|ies)) | serial | baseline
      | similar\ (?:to|in) | than\ (?:before|on)
      | unchanged | stable | stability | interval(?:ly)? | again | still | now | new(?:ly)? | since  # change, or none
      | no\ longer | re-?(?:demonstrat|identif|visuali[sz])\w+ | re-?positioned
      | (?:no|not|without|little|minimal)\ (?:(?:significant|appreciabl|substantial|relevant)\w*\ )*chang(?:ed?|es)
      | persist\w* | remain(?:s|ed|ing)? | continu(?:e|es|ed|ing) | recurren(?:t|ce)
      | (?:is|are|appears?|looks?)\ (?:(?:now|slightly|mildly|much|markedly|significantly|somewhat|minimally)\ )*
        (?:larger|smaller|bigger|(?:more|less)\ (?:extensive|pronounced|conspicuous))(?!\ (?:than|on\ the|in\ the)\b)
      | improv\w+ | worsen\w* | wors(?:e|t) | progress\w+ | developing | regress\w+ | resolv\w+ | resolution | evolv\w+
      | (?:in|de)creas(?:ed|ing)\ (?:in\ (?:size|extent|number)|from|since|compared)
      | (?:has|have)\ (?:also\ |slightly\ |markedly\ |significantly\ )?
        (?:(?:in|de)creased|cleared|developed|enlarged|grown|(?:dis)?appeared|changed)
      | (?:has|have)\ been\ (?:\w+\ )?(?:removed|placed|advanced|withdrawn|exchanged|inserted|retracted) | removal
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
# The same words where they do not refer to an earlier study.

_NOT_PRIOR = re.compile(
    r"""\b(?:
        (?:ha?emodynamically|clinically|medically|neurologically)\ (?:un)?stable | stable\ (?:patient|condition)
      | (?:prior|previous|remote)\ (?:[\w-]+\ ){0,2}?
        (?:surger\w+|trauma|injur\w+|infection|fractures?|sternotomy|cabg|resection|granulomatous|disease)
      | remaining\ (?:lungs?|osseous|bon[ey]s?|structures|visuali[sz]ed|mediastinal) | remainder
      | high[\ -]resolution | now\ recommended
      | (?:recommend|suggest|advise|consider)\w*\b[^.]*  # a comparison that is still to come
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_NOUN_FOLLOWS = (
    r"(?=\s+(?!(?:is|are|was|were|has|have|and|or|than|with|of|in|on|at|to|where|which"
    r"|greater|more|larger|worse|increase|decrease|change|improvement)\b)[a-z])"
)
# "Stable mediastinal contours" states no more than that they are stable.
_NOT_NORMAL_ANATOMY = (
    r"(?!(?:\s+(?!(?:of|with|in|to|at|enlarge\w*|prominent|borderline|abnormal|increased|wide\w*|dilated)\b)[\w-]+){0,4}?"
    r"\s+(?:contours?|silhouettes?|appearances?|size|mediastinum|heart|structures|configuration"
    r"|exam|examination|study|chest|radiograph|findings)\b)"
)
_CHANGE = re.compile(
    rf"(?<!is )(?<!are )(?<!remain )(?<!remains )(?<!appears )\b"
    rf"(?:stable|unchanged|persistent|residual|redemonstrated|interval|new|similar)(?: appearing)?{_NOUN_FOLLOWS}"
    rf"{_NOT_NORMAL_ANATOMY}",
    re.IGNORECASE,
)
