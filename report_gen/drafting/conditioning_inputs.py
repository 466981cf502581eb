"""Resolve the findings and attributes that condition the decoder.

Precedence: override by the reader, DICOM header (attributes only), prediction of the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from report_gen.config import STATES, AttributeConfig
from report_gen.errors import UsageError
from report_gen.records.report import CHEXPERT, FINDINGS, FURTHER, Attribute, AttributeName, Finding, FindingState


def resolve_findings(
    states: Sequence[int],
    probabilities: Sequence[float],
    overrides: Mapping[str, FindingState],
    reported: Sequence[bool],
) -> tuple[Finding, ...]:
    """Return the findings of a study as they condition the decoder.

    Args:
        states: [F] by the thresholds of the model, indices into `STATES`.
        probabilities: [F] 0..1.
        overrides: states set by the reader, by finding name.
        reported: [F], whether the probability of the finding is reported.
    """
    resolved = resolve_states(states, overrides)
    return tuple(
        Finding(
            name=name,
            state=resolved[name],
            probability=probability if is_reported else None,
            overridden=name in overrides,
        )
        for name, probability, is_reported in zip(FINDINGS, probabilities, reported, strict=True)
    )


def resolve_states(states: Sequence[int], overrides: Mapping[str, FindingState]) -> dict[str, FindingState]:
    """Return the state of each finding by name, with "No Finding" derived from the others unless it is overridden.

    Args:
        states: [F] by the thresholds of the model, indices into `STATES`.
        overrides: states set by the reader, by finding name.
    """
    resolved = {name: overrides.get(name, STATES[state]) for name, state in zip(FINDINGS, states, strict=True)}
    if "No Finding" not in overrides:
        resolved["No Finding"] = no_finding(resolved)
    return resolved


def no_finding(states: Mapping[str, FindingState]) -> FindingState:
    """Return the state of "No Finding" by CheXpert's rule, as `label_findings` applies it to texts.

    "No Finding" is present if nothing but a support device is present or uncertain. A finding of `FURTHER` alone leaves
    it unknown: CheXpert has no such label, but the chest is not normal.
    """
    others = {states[name] for name in CHEXPERT if name not in ("No Finding", "Support Devices")}
    if FindingState.PRESENT in others:
        return FindingState.ABSENT
    if FindingState.UNCERTAIN in others:
        return FindingState.UNCERTAIN
    if any(states[name] in (FindingState.PRESENT, FindingState.UNCERTAIN) for name in FURTHER):
        return FindingState.UNKNOWN
    return FindingState.PRESENT if FindingState.ABSENT in others else FindingState.UNKNOWN


def check_findings(overrides: Mapping[str, FindingState]) -> None:
    """Check the names of overridden findings.

    Raises:
        UsageError: a name is not in `FINDINGS`.
    """
    for name in overrides:
        if name not in FINDINGS:
            raise UsageError(f"finding {name!r} is not known; choose from {', '.join(FINDINGS)}")


def resolve_attributes(
    known: Sequence[AttributeConfig],
    probabilities: Sequence[Sequence[float]],
    header: Mapping[AttributeName, str],
    overrides: Mapping[str, str],
) -> tuple[Attribute, ...]:
    """Return the attributes of a study as they condition the decoder.

    Args:
        known: the A attributes of the model.
        probabilities: [A][values] of the values of each attribute, 0..1.
        header: values from the DICOM header, as `header_values` returns them; values unknown to the model are ignored.
        overrides: checked values by attribute name, "" for unknown.
    """
    return tuple(
        _resolve(attribute, dict(zip(attribute.values, row, strict=True)), header.get(attribute.name, ""), overrides)
        for attribute, row in zip(known, probabilities, strict=True)
    )


def unknown_attributes(known: Sequence[AttributeConfig]) -> tuple[Attribute, ...]:
    """Return unknown attributes, for a study whose images the model did not get."""
    return tuple(Attribute(name=attribute.name, value="") for attribute in known)


def check_attributes(overrides: Mapping[str, str], known: Sequence[AttributeConfig]) -> None:
    """Check the names and values of overridden attributes; the value "" stands for unknown and is always allowed.

    Raises:
        UsageError: the model does not know an attribute or a value.
    """
    values: dict[str, tuple[str, ...]] = {attribute.name: attribute.values for attribute in known}
    for name, value in overrides.items():
        if not values:
            raise UsageError(f"attribute {name!r} is not known: the model was trained without attributes; leave it out")
        if name not in values:
            raise UsageError(f"attribute {name!r} is not known to the model; choose from {', '.join(values)}")
        if value and value not in values[name]:
            raise UsageError(
                f"{name} {value!r} is not known to the model; choose from {', '.join(values[name])} or unknown"
            )


def _resolve(
    attribute: AttributeConfig, probabilities: Mapping[str, float], header: str, overrides: Mapping[str, str]
) -> Attribute:
    predicted = max(probabilities, key=lambda value: probabilities[value])
    from_header = header if header in attribute.values else ""
    value = overrides.get(attribute.name, from_header or predicted)
    return Attribute(
        name=attribute.name,
        value=value,
        probability=probabilities.get(value),
        seen=predicted,
        from_header=attribute.name not in overrides and bool(from_header),
        overridden=attribute.name in overrides,
    )
