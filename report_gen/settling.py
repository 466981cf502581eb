"""What the decoder is told of modality, plane and body part: what a reader says, else the header, else what is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from report_gen.errors import UsageError
from report_gen.model.config import AttributeConfig
from report_gen.report import Attribute, AttributeName


def settle_attributes(
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
        _settle(attribute, dict(zip(attribute.values, row, strict=True)), header.get(attribute.name, ""), overrides)
        for attribute, row in zip(known, probabilities, strict=True)
    )


def unseen_attributes(known: Sequence[AttributeConfig]) -> tuple[Attribute, ...]:
    """The same of a study that the model was not asked about."""
    return tuple(Attribute(name=attribute.name, value="") for attribute in known)


def check_overrides(overrides: Mapping[str, str], known: Sequence[AttributeConfig]) -> None:
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


def _settle(
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
        overruled=attribute.name in overrides,
    )
