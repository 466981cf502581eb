"""Load the prior study of a request, for the model that compares it with the study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from report_gen.config import ModelConfig
from report_gen.drafting.change_sentences import describe_prior
from report_gen.drafting.preprocessing import LoadedStudy
from report_gen.drafting.prior_studies import CheckedPrior, PriorInput, check_prior, latest_prior
from report_gen.drafting.request import DraftRequest
from report_gen.errors import StudyError
from report_gen.imaging.scope import FORCE_HINT

_NOT_COMPARED = "the prior study is not compared"


def choose_prior(request: DraftRequest) -> CheckedPrior | None:
    """Return the latest prior study of a request; None if there is none.

    Raises:
        StudyError: One of the prior studies shows another patient, is the same study, or is later.
    """
    checked = [check_prior(request.study, prior) for prior in request.priors]
    latest = latest_prior(request.study, request.priors)
    return next((one for one in checked if one.prior is latest), None)


def add_prior(
    loaded: LoadedStudy,
    chosen: CheckedPrior | None,
    load: Callable[[DraftRequest], LoadedStudy | StudyError],
    config: ModelConfig,
) -> tuple[LoadedStudy, PriorInput | None, str]:
    """Load the prior study of a study.

    Args:
        loaded: The study.
        chosen: Its prior study; None if it has none.
        load: Loads a study, see `StudyPreprocessor.load`.
        config: Configuration of the model.

    Returns:
        The study with notices about the prior study, the prior study if the model compares it with the study, and the
        text of the section COMPARISON: that of the request, or else one that names the compared study.
    """
    text = loaded.request.comparison or ""
    if chosen is None:
        return loaded, None, text
    prior, notices = _load_prior(chosen, load, config)
    if len(loaded.request.priors) > 1:
        notices = (f"of {len(loaded.request.priors)} prior studies only the latest is used", *notices)
    loaded = replace(loaded, notices=(*loaded.notices, *notices))
    if prior is None:
        return loaded, None, text
    words = describe_prior(prior.loaded.request.study, chosen.days_earlier, config.scope)
    return replace(loaded, seconds=loaded.seconds + prior.loaded.seconds), prior, text or words


def _load_prior(
    chosen: CheckedPrior, load: Callable[[DraftRequest], LoadedStudy | StudyError], config: ModelConfig
) -> tuple[PriorInput | None, tuple[str, ...]]:
    """Return the prior study, or None if the model does not compare it, and notices."""
    notices = chosen.notices
    if not chosen.is_comparable:
        return None, notices
    if config.changes is None:
        return None, (*notices, f"{_NOT_COMPARED}: the model does not state changes between studies")
    loaded = load(DraftRequest(chosen.prior.study))
    if isinstance(loaded, StudyError):
        return None, (*notices, f"{_NOT_COMPARED}: {loaded.reason.removesuffix(FORCE_HINT)}")
    if loaded.is_blank:
        return None, (*notices, f"{_NOT_COMPARED}: every pixel of its image has the same value")
    return PriorInput(chosen, loaded), (*notices, *(f"prior study: {notice}" for notice in loaded.notices))
