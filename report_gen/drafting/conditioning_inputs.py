"""Resolve the findings and attributes that condition the decoder.

Precedence: override by the reader, DICOM header (attributes only), prediction of the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from report_gen.config import CONDITIONING_TRAITS, STATES, AttributeConfig, FindingConfig, ModelConfig
from report_gen.drafting.request import DraftRequest
from report_gen.errors import UsageError
from report_gen.labeling import finding_labeler
from report_gen.records import (
    UNKNOWN_LOCATION,
    Attribute,
    AttributeName,
    Finding,
    FindingLocation,
    FindingSchema,
    FindingState,
)


class PredictedLocation(NamedTuple):
    """Location that the model predicts for a finding, on the condition that the finding is present."""

    location: FindingLocation
    side_probability: float
    """0..1, of the most probable side."""
    zone_probabilities: tuple[float, ...]
    """0..1, of each zone."""


def resolve_findings(
    schema: FindingSchema,
    states: Sequence[int],
    probabilities: Sequence[float],
    request: DraftRequest,
    config: FindingConfig,
    predicted: Sequence[PredictedLocation | None],
) -> tuple[Finding, ...]:
    """Return the findings of a study as they condition the decoder.

    A finding that is neither present nor uncertain has no location, and no probabilities of one. A location that the
    reader sets takes precedence over that of the model.

    Args:
        schema: The F findings of the model.
        states: [F] by the thresholds of the model, indices into `STATES`.
        probabilities: [F] 0..1.
        request: The study with the states and locations that the reader sets, by name in the schema.
        config: Which probabilities are reported, and the thresholds.
        predicted: [F], location of the finding by the model; None if the model was not trained on it.
    """
    resolved = resolve_states(schema, states, request.overrides)
    return tuple(
        Finding(
            name=name,
            state=resolved[name],
            probability=probability if is_reported else None,
            present_threshold=config.normal if name == schema.normal else present,
            uncertain_threshold=None if name == schema.normal or present is None else uncertain,
            means_normal=name == schema.normal,
            overridden=name in request.overrides,
            location=_resolve_location(resolved[name], request.locations.get(name), place),
            location_overridden=name in request.locations and resolved[name].is_stated,
            side_probability=None if place is None else place.side_probability,
            zone_probabilities=None if place is None else place.zone_probabilities,
        ).with_stated_location()
        for name, probability, is_reported, present, uncertain, place in zip(
            schema.findings, probabilities, config.reported, config.present, config.uncertain, predicted, strict=True
        )
    )


def _resolve_location(
    state: FindingState, override: FindingLocation | None, predicted: PredictedLocation | None
) -> FindingLocation:
    if not state.is_stated:
        return UNKNOWN_LOCATION
    if override is not None:
        return override
    return UNKNOWN_LOCATION if predicted is None else predicted.location


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


def check_request(request: DraftRequest, config: ModelConfig) -> DraftRequest:
    """Return a request with the overrides of the reader by the names of the findings in the schema of a model.

    Raises:
        UsageError: See `check_overrides`.
    """
    overrides, locations = check_overrides(request.overrides, request.locations, request.attributes, config)
    return replace(request, overrides=overrides, locations=locations)


def check_overrides(
    overrides: Mapping[str, FindingState],
    locations: Mapping[str, FindingLocation],
    attributes: Mapping[str, str],
    config: ModelConfig,
) -> tuple[dict[str, FindingState], dict[str, FindingLocation]]:
    """Check what the reader overrides against the findings, locations and attributes of a model.

    Args:
        overrides: States by name or alias of a finding.
        locations: Locations by name or alias of a finding.
        attributes: Values by attribute name, "" for unknown.
        config: Configuration of the model.

    Returns:
        The states and the locations by the names of the findings in the schema.

    Raises:
        UsageError: The model does not know a finding, a location, an attribute or a value, or uses none, or two states
            contradict each other.
    """
    if (overrides or attributes) and not CONDITIONING_TRAITS[config.conditioning].uses_findings:
        raise UsageError(
            f"a model with conditioning {config.conditioning!r} uses no findings and no attributes, so none can be "
            "overridden; use a model with conditioning prefix or cross_attention"
        )
    check_attributes(attributes, config.attributes)
    return resolve_overrides(overrides, config.finding_schema), _resolve_locations(locations, config)


def _resolve_locations(locations: Mapping[str, FindingLocation], config: ModelConfig) -> dict[str, FindingLocation]:
    schema = config.finding_schema
    if locations and config.locations is None:
        raise UsageError(f"the model {config.name!r} does not know where a finding is; leave the location out")
    resolved: dict[str, FindingLocation] = {}
    for text, location in locations.items():
        name = _finding_name(text, schema)
        if name in finding_labeler(schema).vocabulary.unlocated or name == schema.normal:
            raise UsageError(f"finding {name!r} has no side and no zones; leave the location out")
        if resolved.setdefault(name, location) != location:
            raise UsageError(f"finding {name!r} has two locations; give one")
    return resolved


def _finding_name(text: str, schema: FindingSchema) -> str:
    """Return the finding with a name or alias. Raises UsageError if there is none."""
    name = schema.resolve_name(text)
    if name is None:
        choices = ", ".join(schema.findings) or "none: the model has no findings"
        raise UsageError(f"finding {text!r} is not known; choose from {choices}")
    return name


def resolve_overrides(overrides: Mapping[str, FindingState], schema: FindingSchema) -> dict[str, FindingState]:
    """Return the states set by the reader, by the names of the findings in the schema.

    Raises:
        UsageError: A name is neither that of a finding nor an alias, a value is no state, a finding is given two
            states, or the study is set to normal and an abnormality to present or uncertain.
    """
    resolved: dict[str, FindingState] = {}
    for text, state in overrides.items():
        name = _finding_name(text, schema)
        if state not in STATES:
            raise UsageError(f"finding {text!r} is overridden as {state!r}; choose from {', '.join(STATES)}")
        state = FindingState(state)  # a caller may give the text of a state
        if resolved.setdefault(name, state) is not state:
            raise UsageError(f"finding {name!r} is overridden as {resolved[name]} and as {state}; give one state")
    abnormal = [name for name in schema.abnormalities if name in resolved and resolved[name].is_stated]
    if abnormal and resolved.get(schema.normal) is FindingState.PRESENT:
        raise UsageError(
            f"{schema.normal!r} set to present contradicts {abnormal[0]!r} set to {resolved[abnormal[0]]}; "
            "set one of them only"
        )
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


def uncertain_attributes(known: Sequence[AttributeConfig], resolved: Sequence[Attribute]) -> frozenset[AttributeName]:
    """Return the attributes that the model predicts with less than their thresholds, and no header or reader states.

    Args:
        known: The A attributes of the model.
        resolved: The A attributes of a study, as they condition the decoder.
    """
    return frozenset(
        attribute.name
        for attribute, one in zip(known, resolved, strict=True)
        if not (one.from_header or one.overridden) and (one.probability or 0.0) < attribute.threshold
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
