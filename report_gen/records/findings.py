"""Which findings a model, a corpus or a score speaks of: the schema of findings, and the states of a finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class FindingState(StrEnum):
    """What a text or an image says about a finding."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    NOT_MENTIONED = "not-mentioned"
    UNKNOWN = NOT_MENTIONED
    """The same state seen from the image: nothing is known of the finding."""


_POSITIVE = (FindingState.PRESENT, FindingState.UNCERTAIN)


@dataclass(frozen=True, kw_only=True)
class NoFindingRule:
    """How the finding that means "normal" follows from the others, as CheXpert defines it (arXiv:1901.07031)."""

    finding: str
    """Name of the finding that means that nothing is wrong."""
    ignored: tuple[str, ...] = ()
    """Findings that do not count against a normal study, such as support devices."""
    inconclusive: tuple[str, ...] = ()
    """Findings outside the label set that the rule comes from: where one is stated, the rule decides nothing."""


@dataclass(frozen=True, kw_only=True)
class FindingPhrases:
    """How reports state one finding, in the phrase language of `labeling/vocabularies/cues.toml`."""

    phrases: tuple[str, ...]
    """Phrases that name the finding."""
    hints: tuple[str, ...] = ()
    """Phrases that suggest the finding without naming it; they count as uncertain."""
    paired: bool = True
    """False for a finding of the midline, which has no side."""


@dataclass(frozen=True, kw_only=True)
class FindingSchema:
    """Names and rules of the F findings that one model, corpus or score speaks of.

    Raises:
        ValueError: A name is empty or given twice, or a rule, a subset, a mapping, an alias or a phrase list names a
            finding that the schema does not have.
    """

    name: str
    """Name of the schema, as signatures and configuration files give it."""
    findings: tuple[str, ...] = ()
    """Names of the findings: the order of every list and tensor of F findings. A model without findings has none."""
    no_finding: NoFindingRule | None = None
    """None where no finding follows from the others."""
    scored: str = ""
    """Subset to which scores of texts are restricted; empty scores all findings."""
    vocabulary: str = ""
    """Built-in vocabulary whose phrases state the findings; empty where `phrases` holds them."""
    subsets: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """Named selections of findings that scores average over."""
    mappings: Mapping[str, Mapping[str, str]] = field(default_factory=dict, hash=False)
    """By the name of a foreign label set, the finding that each of its labels stands for, in the set's order."""
    aliases: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Further names of findings in corpora and on the command line."""
    phrases: Mapping[str, FindingPhrases] = field(default_factory=dict, hash=False)
    """How reports state each finding, for a schema without a built-in vocabulary."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name is empty; name the schema")
        if "" in self.findings:
            raise ValueError("findings holds an empty name; name every finding")
        self._check_distinct()
        for place, names in self._references():
            for name in names:
                if name not in self.findings:
                    raise ValueError(f"{place} names {name!r}, which is not among the findings; {self._choices}")
        if self.scored and self.scored not in self.subsets:
            raise ValueError(f"scored names the subset {self.scored!r}, which does not exist; add it to subsets")

    @property
    def normal(self) -> str:
        """Name of the finding that means that nothing is wrong; empty where the schema has none."""
        return "" if self.no_finding is None else self.no_finding.finding

    @property
    def stated(self) -> tuple[str, ...]:
        """The findings but the one that follows from the others, which would count every fault twice."""
        return tuple(name for name in self.findings if name != self.normal)

    @property
    def abnormal(self) -> tuple[str, ...]:
        """The findings that a normal study has not, by the rule of no finding; without a rule all findings."""
        rule = self.no_finding
        left_out = () if rule is None else (rule.finding, *rule.ignored, *rule.inconclusive)
        return tuple(name for name in self.findings if name not in left_out)

    @property
    def scored_findings(self) -> tuple[str, ...]:
        """The findings that scores of texts are about."""
        return self.subsets[self.scored] if self.scored else self.findings

    @property
    def scored_sets(self) -> Mapping[str, tuple[str, ...]]:
        """The sets of findings that scores of texts average over, by their size as the names of scores give it.

        The first set holds all scored findings, each further one is a subset of them. Of two sets of one size the
        later has its name beside the size, such as `2 acute`. A schema without findings has none.
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
        """Return the finding that a text names in any case, by its name or an alias; None for no finding."""
        return self._names.get(_key(text))

    def labels_of(self, label_set: str) -> dict[str, tuple[str, ...]]:
        """Return by finding the labels of a foreign label set that stand for it; empty for an unknown label set."""
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
        """Return the states with "no finding" as it follows from them: the one place of that rule.

        It is ABSENT when a finding that counts is present, UNCERTAIN when one is uncertain and none present. With
        neither it is PRESENT when the study is called normal or enough findings are denied, and UNKNOWN otherwise. It
        is UNKNOWN as well when something is wrong that the label set of the rule does not name.

        Args:
            states: State of every finding by name.
            denials: Denied findings that imply a normal study, or all that count where they are fewer.
            states_normal: Whether a text says that the study is normal.
            other_abnormality: Whether something is wrong that has no name in the schema.
        """
        if self.no_finding is None:
            return dict(states)
        others = [states[name] for name in self.abnormal]
        enough = max(1, min(denials, len(others)))
        other_abnormality |= any(states[name] in _POSITIVE for name in self.no_finding.inconclusive)
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

    def _check_distinct(self) -> None:
        taken: dict[str, str] = {}
        for name in self.findings:
            if _key(name) in taken:
                raise ValueError(f"findings names {name!r} twice; keep one of them")
            taken[_key(name)] = name
        for alias, name in self.aliases.items():
            if taken.get(_key(alias), name) != name:
                raise ValueError(f"aliases gives {alias!r} to {name!r}, but {taken[_key(alias)]!r} has it; remove one")
            taken[_key(alias)] = name

    def _references(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Every part of the schema that names findings, with these names."""
        if self.no_finding is not None:
            yield "no_finding", (self.no_finding.finding, *self.no_finding.ignored, *self.no_finding.inconclusive)
        for subset, names in self.subsets.items():
            yield f"subsets.{subset}", names
        for label_set, labels in self.mappings.items():
            yield f"mappings.{label_set}", tuple(labels.values())
        yield "aliases", tuple(self.aliases.values())
        yield "phrases", tuple(self.phrases)


def _key(text: str) -> str:
    """A name as it is compared: in lower case, with single blanks for `_` and white space."""
    return " ".join(text.replace("_", " ").split()).casefold()
