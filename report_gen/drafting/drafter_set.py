"""Draft each study with one of several models: the first one whose image recognizer does not refuse its images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from report_gen.drafting.drafter import Drafter
from report_gen.drafting.request import DraftRequest
from report_gen.errors import ScopeError, StudyError
from report_gen.generation import DecodingChoice
from report_gen.imaging.scope_choice import ModelScope, name_all_models
from report_gen.records import Report

_NOTHING_CHOSEN = DecodingChoice()


@dataclass(frozen=True)
class Drafted:
    """A draft or the error of a study, and the model that gave it."""

    result: Report | StudyError
    model: str
    """Name of the model in the set."""
    drafter: Drafter


class DrafterSet:
    """Drafters of several models by name. Each is loaded when the first study needs it.

    Args:
        load: Loads the drafter of a model by its name.
        scopes: Scope of each model by its name.
    """

    def __init__(self, load: Callable[[str], Drafter], scopes: Mapping[str, ModelScope]) -> None:
        self._load, self._scopes = load, scopes
        self._loaded = dict[str, Drafter]()

    def load(self, name: str) -> Drafter:
        """Return the drafter of a model, which is loaded now unless it was loaded before."""
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def draft_all(
        self,
        requests: Sequence[DraftRequest],
        models: Sequence[Sequence[str]],
        *,
        decoding: DecodingChoice = _NOTHING_CHOSEN,
        force: bool = False,
        **options: Any,
    ) -> Iterator[Drafted]:
        """Yield the drafts of many studies in order; see `Drafter.draft_all` for the options.

        Args:
            requests: A request for each study.
            models: Names of the models that may draft each study, the first one first; see `choose_models`.
            decoding: The options of the decoding that the user chose; the others are those of each model.
            force: Draft a study with its first model also if the image recognizers of all its models refuse it.
            options: Further arguments of `Drafter.draft_all`.

        Raises:
            UsageError, CheckpointError: As `Drafter.draft_all`.
        """
        for names, group in groupby(zip(requests, map(tuple, models), strict=True), key=lambda pair: pair[1]):
            chosen = [request for request, _ in group]
            first = self.load(names[0])
            results = first.draft_all(
                chosen, decoding=decoding.apply(first.info.decoding), force=force and len(names) == 1, **options
            )
            for request, result in zip(chosen, results, strict=True):
                drafted = Drafted(result, names[0], first)
                yield self._try_others(request, drafted, names[1:], decoding, force=force, options=options)

    def _try_others(
        self,
        request: DraftRequest,
        first: Drafted,
        others: Sequence[str],
        decoding: DecodingChoice,
        *,
        force: bool,
        options: Mapping[str, Any],
    ) -> Drafted:
        """Return the draft of the first model, or of the first other one that does not refuse the images."""
        if not others or not isinstance(first.result, ScopeError):
            return first
        for name in others:
            drafter = self.load(name)
            (result,) = drafter.draft_all([request], decoding=decoding.apply(drafter.info.decoding), **options)
            if not isinstance(result, ScopeError):
                return Drafted(result, name, drafter)
        if not force:
            return replace(first, result=name_all_models(request.study.path, first.result, self._scopes))
        own = decoding.apply(first.drafter.info.decoding)
        (result,) = first.drafter.draft_all([request], decoding=own, force=True, **options)
        return Drafted(result, first.model, first.drafter)
