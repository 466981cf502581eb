"""Write person names in HL7 v2 (HL7 2.5.1 2.A.88)."""

from __future__ import annotations

from collections.abc import Mapping

from report_gen.outputs.demographics import NameParts, Representation
from report_gen.outputs.er7 import escape

_REPRESENTATION_CODES: Mapping[Representation, str] = {"alphabetic": "A", "ideographic": "I", "phonetic": "P"}
"""Name representation codes (table 0465)."""


def encode_name(name: NameParts) -> str:
    """Return a name of the types XPN and XCN, without an identifier (HL7 2.5.1 2.A.88)."""
    parts = (name.family, name.given, name.middle, name.suffix, name.prefix)
    return "^".join(map(escape, parts)).rstrip("^")


def encode_names(names: Mapping[Representation, NameParts]) -> str:
    """Return PID-5: a repetition for each representation of the name, with its code in XPN.8 if there are others."""
    if len(names) == 1:
        return "".join(map(encode_name, names.values()))
    return "~".join(
        f"{encode_name(parts)}{'^' * (7 - encode_name(parts).count('^'))}{_REPRESENTATION_CODES[name]}"
        for name, parts in names.items()
    )
