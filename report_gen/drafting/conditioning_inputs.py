"""What the decoder is told of findings, modality, plane and body part: what a reader says, else what is seen.

A DICOM header knows better than the image what modality and body part are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from report_gen.config import STATES, AttributeConfig
from report_gen.errors import UsageError
from report_gen.records.findings import FindingSchema, FindingState
from report_gen.records.report import Attribute, AttributeName, Finding


def resolve_findings(
    schema: FindingSchema,
    states: Sequence[int],
    probabilities: Sequence[float],
    overrides: Mapping[str, FindingState],
    reported: Sequence[bool],
) -> tuple[Finding, ...]:
    """Resolve the findings that condition the decoder: user override, else model prediction.

    The finding that means "normal" follows from the others unless the user overrides it.

    Args:
        schema: The model's findings.
        states: [F] as the thresholds decide, indices into STATES.
        probabilities: [F] 0..1.
        overrides: states that a reader sets, by name.
        reported: [F], whether the probability is told.
    """
    resolved = {name: overrides.get(name, STATES[state]) for name, state in zip(schema.findings, states, strict=True)}
    if schema.normal not in overrides:
        resolved = schema.with_no_finding(resolved)
    return tuple(
        Finding(
            name=name,
            state=resolved[name],
            probability=probability if is_reported else None,
            overridden=name in overrides,
        )
        for name, probability, is_reported in zip(schema.findings, probabilities, reported, strict=True)
    )


def resolve_overrides(overrides: Mapping[str, FindingState], schema: FindingSchema) -> dict[str, FindingState]:
    """Return the states that a user sets under the names that the schema gives the findings.

    Raises:
        UsageError: A name is neither that of a finding nor an alias.
    """
    resolved = {}
    for text, state in overrides.items():
        name = schema.resolve_name(text)
        if name is None:
            choices = ", ".join(schema.findings) or "none: the model has no findings"
            raise UsageError(f"finding {text!r} is not known; choose from {choices}")
        resolved[name] = state
    return resolved


def resolve_attributes(
    known: Sequence[AttributeConfig],
    probabilities: Sequence[Sequence[float]],
    header: Mapping[AttributeName, str],
    overrides: Mapping[str, str],
) -> tuple[Attribute, ...]:
    """The attributes of a study as the decoder is told them.

    Args:
        known: the A attributes of the model.
        probabilities: of the values of each.
        header: what `header_values` gives; a value that the model does not know is passed over.
        overrides: checked values by name, "" for unknown.
    """
    return tuple(
        _resolve(attribute, dict(zip(attribute.values, row, strict=True)), header.get(attribute.name, ""), overrides)
        for attribute, row in zip(known, probabilities, strict=True)
    )


def unknown_attributes(known: Sequence[AttributeConfig]) -> tuple[Attribute, ...]:
    """The same of a study that the model was not asked about."""
    return tuple(Attribute(name=attribute.name, value="") for attribute in known)


def check_attributes(overrides: Mapping[str, str], known: Sequence[AttributeConfig]) -> None:
    """Raise UsageError for an attribute or a value that the model does not know; "" is unknown and goes with all."""
    values: dict[str, tuple[str, ...]] = {attribute.name: attribute.values for attribute in known}
    for name, value in overrides.items():
        if not values:
            raise UsageError(f"attribute {name!r} is not known: the model has learned none; leave it out")
        if name not in values:
            raise UsageError(f"attribute {name!r} is not known to the model; choose from {', '.join(values)}")
        if value and value not in values[name]:
            raise UsageError(
                f"{name} {value!r} is not known to the model; choose from {', '.join(values[name])} or unknown"
            )


def _resolve(
    attribute: AttributeConfig, probabilities: Mapping[str, float], header: str, overrides: Mapping[str, str]
) -> Attribute:
    seen = max(probabilities, key=lambda value: probabilities[value])
    stated = header if header in attribute.values else ""
    value = overrides.get(attribute.name, stated or seen)
    return Attribute(
        name=attribute.name,
        value=value,
        probability=probabilities.get(value),
        seen=seen,
        from_header=attribute.name not in overrides and bool(stated),
        overridden=attribute.name in overrides,
    )
