"""Recognize sentences about an earlier study, which the images of one study alone cannot support."""

from __future__ import annotations

import re


def mentions_prior(sentence: str) -> bool:
    """Return whether a sentence refers to an earlier study or to change since then.

    "No prior for comparison" counts as well, because it is also about studies that the model does not get.
    """
    return _PRIOR.search(_NOT_PRIOR.sub(" ", sentence)) is not None


_PRIOR = re.compile(
    r"""\b(?:
        priors? | previous(?:ly)? | earlier | formerly | as\ before | last\ (?:exam\w*|study|film|radiograph)
      | compar(?:ed?|ing|isons?|able) | old\ (?:films?|exam\w*|stud(?:y|ies)) | serial | baseline
      | similar\ (?:to|in) | than\ (?:before|on)
      | unchanged | stable | stability | interval(?:ly)? | again | still | now | new(?:ly)? | since  # change, or none
      | no\ longer | re-?(?:demonstrat|identif|visuali[sz])\w+ | re-?positioned
      | (?:no|not|without|little|minimal)\ (?:(?:significant|appreciabl|substantial|relevant)\w*\ )*chang(?:ed?|es)
      | persist\w* | remain(?:s|ed|ing)? | continu(?:e|es|ed|ing) | recurren(?:t|ce)
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
