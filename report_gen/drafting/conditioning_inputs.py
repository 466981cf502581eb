"""Resolve the findings and attributes that condition the decoder.

Precedence: override by the reader, DICOM header (attributes only), prediction of the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from report_gen.config import CONDITIONING_TRAITS, STATES, AttributeConfig, ModelConfig
from report_gen.errors import UsageError
from report_gen.records import Attribute, AttributeName, Finding, FindingSchema, FindingState


def resolve_findings(
    schema: FindingSchema,
    states: Sequence[int],
    probabilities: Sequence[float],
    overrides: Mapping[str, FindingState],
    reported: Sequence[bool],
) -> tuple[Finding, ...]:
    """Return the findings of a study as they condition the decoder.

    Args:
        schema: The F findings of the model.
        states: [F] by the thresholds of the model, indices into `STATES`.
        probabilities: [F] 0..1.
        overrides: States set by the reader, by name in the schema.
        reported: [F], whether the probability of the finding is reported.
    """
    resolved = resolve_states(schema, states, overrides)
    return tuple(
        Finding(
            name=name,
            state=resolved[name],
            probability=probability if is_reported else None,
            overridden=name in overrides,
        )
        for name, probability, is_reported in zip(schema.findings, probabilities, reported, strict=True)
    )


def resolve_states(
    schema: FindingSchema, states: Sequence[int], overrides: Mapping[str, FindingState]
) -> dict[str, FindingState]:
    """Return the state of each finding by name.

    The finding that means "normal" follows from the others unless it is overridden. An abnormality that the reader sets
    thus makes the study abnormal, whatever the model decided. If the reader sets the study to normal, it has no
    abnormality that the reader did not set as well; unknown findings stay unknown.

    Args:
        schema: The F findings of the model.
        states: [F] by the thresholds of the model, indices into `STATES`.
        overrides: States set by the reader, by name in the schema.
    """
    resolved = {name: overrides.get(name, STATES[state]) for name, state in zip(schema.findings, states, strict=True)}
    if schema.normal not in overrides:
        return schema.with_no_finding(resolved)
    if overrides[schema.normal] is FindingState.PRESENT:
        denied = [name for name in schema.abnormalities if resolved[name] is not FindingState.UNKNOWN]
        resolved |= {name: FindingState.ABSENT for name in denied if name not in overrides}
    return resolved


def check_overrides(
    overrides: Mapping[str, FindingState], attributes: Mapping[str, str], config: ModelConfig
) -> dict[str, FindingState]:
    """Check what the reader overrides against the findings and attributes of a model.

    Args:
        overrides: States by name or alias of a finding.
        attributes: Values by attribute name, "" for unknown.
        config: Configuration of the model.

    Returns:
        The states by the names of the findings in the schema.

    Raises:
        UsageError: The model does not know a finding, an attribute or a value, or uses none.
    """
    if (overrides or attributes) and not CONDITIONING_TRAITS[config.conditioning].uses_findings:
        raise UsageError(
            f"a model with conditioning {config.conditioning!r} uses no findings and no attributes, so none can be "
            "overridden; use a model with conditioning prefix or cross_attention"
        )
    check_attributes(attributes, config.attributes)
    return resolve_overrides(overrides, config.finding_schema)


def resolve_overrides(overrides: Mapping[str, FindingState], schema: FindingSchema) -> dict[str, FindingState]:
    """Return the states set by the reader, by the names of the findings in the schema.

    Raises:
        UsageError: A name is neither that of a finding nor an alias, a value is no state, or a finding is given two
            states.
    """
    resolved: dict[str, FindingState] = {}
    for text, state in overrides.items():
        name = schema.resolve_name(text)
        if name is None:
            choices = ", ".join(schema.findings) or "none: the model has no findings"
            raise UsageError(f"finding {text!r} is not known; choose from {choices}")
        if state not in STATES:
            raise UsageError(f"finding {text!r} is overridden as {state!r}; choose from {', '.join(STATES)}")
        state = FindingState(state)  # a caller may give the text of a state
        if resolved.setdefault(name, state) is not state:
            raise UsageError(f"finding {name!r} is overridden as {resolved[name]} and as {state}; give one state")
    return resolved


def resolve_attributes(
    known: Sequence[AttributeConfig],
    probabilities: Sequence[Sequence[float]],
    header: Mapping[AttributeName, str],
    overrides: Mapping[str, str],
) -> tuple[Attribute, ...]:
    """Return the attributes of a study as they condition the decoder.

    Args:
        known: The A attributes of the model.
        probabilities: [A][values] of the values of each attribute, 0..1.
        header: Values from the DICOM header, as `header_values` returns them; values unknown to the model are ignored.
        overrides: Checked values by attribute name, "" for unknown.
    """
    return tuple(
        _resolve(attribute, dict(zip(attribute.values, row, strict=True)), header.get(attribute.name, ""), overrides)
        for attribute, row in zip(known, probabilities, strict=True)
    )


def unknown_attributes(known: Sequence[AttributeConfig]) -> tuple[Attribute, ...]:
    """Return unknown attributes, for a study whose images the model did not get."""
    return tuple(Attribute(name=attribute.name, value="") for attribute in known)


def check_attributes(overrides: Mapping[str, str], known: Sequence[AttributeConfig]) -> None:
    """Check the names and values of overridden attributes; the value "" means unknown and is always allowed.

    Raises:
        UsageError: The model does not know an attribute or a value.
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
        predicted=predicted,
        from_header=attribute.name not in overrides and bool(from_header),
        overridden=attribute.name in overrides,
    )
