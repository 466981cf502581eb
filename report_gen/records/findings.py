"""Findings of a model, a corpus or a score: their schema, and the states of a finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property


class FindingState(StrEnum):
    """State of a finding in a text or an image."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    NOT_MENTIONED = "not-mentioned"
    UNKNOWN = NOT_MENTIONED
    """The same state for an image: nothing is known about the finding."""

    @property
    def is_stated(self) -> bool:
        """Whether a text or a model states the finding, with certainty or without."""
        return self in (FindingState.PRESENT, FindingState.UNCERTAIN)


LONGEST_NAME = 200
"""Longest name in a finding schema, characters."""
LONGEST_PHRASE = 1000
"""Longest phrase in a finding schema, characters."""


@dataclass(frozen=True, kw_only=True)
class NoFindingRule:
    """Rule by which "no finding" follows from the other findings, as CheXpert defines it (arXiv:1901.07031)."""

    finding: str
    """Name of the finding that means a normal study."""
    ignored: tuple[str, ...] = ()
    """Findings that do not count against a normal study, such as support devices."""
    inconclusive: tuple[str, ...] = ()
    """Findings outside the label set of the rule. If one is present or uncertain, the rule gives UNKNOWN."""


@dataclass(frozen=True, kw_only=True)
class FindingPhrases:
    """Phrases by which reports state one finding, in the language described in `labeling/vocabularies/cues.toml`."""

    phrases: tuple[str, ...]
    """Phrases that name the finding."""
    hints: tuple[str, ...] = ()
    """Phrases that suggest the finding without naming it; its state is then UNCERTAIN."""
    paired: bool = True
    """False for a finding of the midline, which has no side."""


@dataclass(frozen=True, kw_only=True)
class FindingSchema:
    """Names and rules of the F findings of a model, a corpus or a score.

    Raises:
        ValueError: A name is empty, too long, not printable or given twice, or a rule, a subset, a mapping, an alias
            or a phrase list names a finding that the schema does not have.
    """

    name: str
    """Name of the schema in signatures and configuration files."""
    findings: tuple[str, ...] = ()
    """Names of the findings, in the order of every list and tensor of F findings; empty if a model has none."""
    no_finding: NoFindingRule | None = None
    """Rule of "no finding"; None if the schema has no such finding."""
    scored: str = ""
    """Name of the subset to which scores of texts are restricted; empty if all findings are scored."""
    vocabulary: str = ""
    """Built-in vocabulary with the phrases of the findings; empty if `phrases` contains them."""
    subsets: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """Findings that scores average over, by the name of the subset."""
    mappings: Mapping[str, Mapping[str, str]] = field(default_factory=dict, hash=False)
    """By the name of another label set: the finding that each of its labels means, in the order of that set."""
    aliases: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Finding by each of its further names in corpora and on the command line."""
    phrases: Mapping[str, FindingPhrases] = field(default_factory=dict, hash=False)
    """Phrases of each finding, for a schema without a built-in vocabulary."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name is empty; name the schema")
        if "" in self.findings:
            raise ValueError("findings contains an empty name; give every finding a name")
        self._check_texts()
        self._check_distinct()
        known = frozenset(self.findings)
        for place, names in self._references():
            for name in names:
                if name not in known:
                    raise ValueError(f"{place} names {name!r}, which is not among the findings; {self._choices}")
        if self.scored and self.scored not in self.subsets:
            raise ValueError(f"scored names the subset {self.scored!r}, which does not exist; add it to subsets")

    @property
    def normal(self) -> str:
        """Name of the finding that means a normal study; empty if the schema has none."""
        return "" if self.no_finding is None else self.no_finding.finding

    @property
    def stated(self) -> tuple[str, ...]:
        """All findings except "no finding", which follows from the others and would count every error twice."""
        return tuple(name for name in self.findings if name != self.normal)

    @cached_property
    def abnormal(self) -> tuple[str, ...]:
        """Findings that a normal study does not have, by the rule of "no finding"; all findings if there is no rule."""
        rule = self.no_finding
        left_out = () if rule is None else (rule.finding, *rule.ignored, *rule.inconclusive)
        return tuple(name for name in self.findings if name not in left_out)

    @property
    def abnormalities(self) -> tuple[str, ...]:
        """All findings that make a study abnormal: those of `abnormal` and the inconclusive ones.

        The rule of "no finding" leaves out inconclusive findings, because its label set has no such labels. They make a
        study abnormal all the same: a radiograph with emphysema is not normal.
        """
        ignored = () if self.no_finding is None else self.no_finding.ignored
        return tuple(name for name in self.stated if name not in ignored)

    @property
    def scored_findings(self) -> tuple[str, ...]:
        """Findings of the subset `scored`, or all findings."""
        return self.subsets[self.scored] if self.scored else self.findings

    @property
    def scored_sets(self) -> Mapping[str, tuple[str, ...]]:
        """Sets of findings that scores of texts average over, by the label that the names of scores use.

        The label is the number of findings, such as "14". The first set contains all scored findings, each further set
        is a subset. If two sets have the same size, the label of the later one includes its name, such as "2 acute". A
        schema without findings has no sets.
        """
        scored = self.scored_findings
        sets = {str(len(scored)): scored} if scored else {}
        for name, subset in self.subsets.items():
            if subset and set(subset) < set(scored):
                size = str(len(subset))
                sets[f"{size} {name}" if size in sets else size] = subset
        return sets

    def index(self, name: str) -> int:
        """Return the position of a finding in every list and tensor of findings. Raises ValueError for another name."""
        if name not in self.findings:
            raise ValueError(f"{name!r} is not a finding of the schema {self.name!r}; {self._choices}")
        return self.findings.index(name)

    def resolve_name(self, text: str) -> str | None:
        """Return the finding that has this name or alias, in upper or lower case; None if there is none."""
        return self._names.get(_key(text))

    def labels_of(self, label_set: str) -> dict[str, tuple[str, ...]]:
        """Return the labels of another label set that mean each finding; empty for an unknown label set."""
        labels: dict[str, tuple[str, ...]] = {}
        for label, finding in self.mappings.get(label_set, {}).items():
            labels[finding] = (*labels.get(finding, ()), label)
        return labels

    def with_no_finding(
        self,
        states: Mapping[str, FindingState],
        *,
        denials: int = 1,
        states_normal: bool = False,
        other_abnormality: bool = False,
    ) -> dict[str, FindingState]:
        """Return the states with the state of "no finding" that follows from the others.

        Only the findings of `abnormal` are considered. "No finding" is ABSENT if one of them is present, and UNCERTAIN
        if none is present and one is uncertain. Otherwise it is PRESENT if the study is stated to be normal or enough
        findings are absent, and UNKNOWN if neither is the case. It is UNKNOWN as well if there is an abnormality that
        the label set of the rule does not name.

        Args:
            states: State of every finding by name.
            denials: Number of absent findings that implies a normal study, limited to the number considered.
            states_normal: Whether a text states that the study is normal.
            other_abnormality: Whether there is an abnormality that has no name in the schema.

        Returns:
            The state of every finding by name. Without a rule, the states are unchanged.
        """
        if self.no_finding is None:
            return dict(states)
        others = [states[name] for name in self.abnormal]
        enough = max(1, min(denials, len(others)))
        other_abnormality |= any(states[name].is_stated for name in self.no_finding.inconclusive)
        if FindingState.PRESENT in others:
            state = FindingState.ABSENT
        elif FindingState.UNCERTAIN in others:
            state = FindingState.UNCERTAIN
        elif other_abnormality or not (states_normal or others.count(FindingState.ABSENT) >= enough):
            state = FindingState.UNKNOWN
        else:
            state = FindingState.PRESENT
        return {**states, self.no_finding.finding: state}

    @property
    def _names(self) -> dict[str, str]:
        names = {**{name: name for name in self.findings}, **self.aliases}
        return {_key(name): finding for name, finding in names.items()}

    @property
    def _choices(self) -> str:
        return f"choose from {', '.join(self.findings) or 'none: the schema has no findings'}"

    def _check_texts(self) -> None:
        labels = [label for mapping in self.mappings.values() for label in mapping]
        names = [self.name, self.scored, self.vocabulary, *self.findings, *self.aliases, *self.subsets]
        for name in (*names, *self.mappings, *labels):
            if len(name) > LONGEST_NAME or not name.isprintable():
                raise ValueError(
                    f"the name {name[:50]!r} has more than {LONGEST_NAME} characters or contains control characters; "
                    "shorten or correct it"
                )
        for finding, own in self.phrases.items():
            if any(len(phrase) > LONGEST_PHRASE for phrase in (*own.phrases, *own.hints)):
                raise ValueError(
                    f"finding {finding[:50]!r} has a phrase of more than {LONGEST_PHRASE} characters; shorten it"
                )

    def _check_distinct(self) -> None:
        taken: dict[str, str] = {}
        for name in self.findings:
            if _key(name) in taken:
                raise ValueError(f"findings names {name!r} twice; keep one of them")
            taken[_key(name)] = name
        for alias, name in self.aliases.items():
            if taken.get(_key(alias), name) != name:
                raise ValueError(
                    f"aliases assigns {alias!r} to {name!r}, but {taken[_key(alias)]!r} has this name; remove one"
                )
            taken[_key(alias)] = name

    def _references(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield every part of the schema that names findings, with these names."""
        if self.no_finding is not None:
            yield "no_finding", (self.no_finding.finding, *self.no_finding.ignored, *self.no_finding.inconclusive)
        for subset, names in self.subsets.items():
            yield f"subsets.{subset}", names
        for label_set, labels in self.mappings.items():
            yield f"mappings.{label_set}", tuple(labels.values())
        yield "aliases", tuple(self.aliases.values())
        yield "phrases", tuple(self.phrases)


def _key(text: str) -> str:
    """Return a name as it is compared: in lower case, with single spaces in place of `_` and white space."""
    return " ".join(text.replace("_", " ").split()).casefold()
