"""Find sentences about findings that a model does not predict.

A decoder learns sentences about devices, bones or the aorta from its training texts, even if the model cannot detect
them in an image. In a draft these sentences are inventions.
"""

from __future__ import annotations

from collections.abc import Collection

from report_gen.labeling import finding_labeler
from report_gen.records import FindingSchema, FindingState

_ASSERTED = (FindingState.PRESENT, FindingState.UNCERTAIN)


def is_unsupported(sentence: str, supported: Collection[str], schema: FindingSchema) -> bool:
    """Return whether a sentence states a finding that the model does not predict, or nothing that it predicts.

    A sentence is unsupported if it calls an unpredicted finding of the schema present or uncertain ("A pacemaker is
    seen."), or if every finding that it mentions, also to deny it, is unpredicted or outside the schema ("The bones are
    intact.", "Degenerative changes of the spine."). A sentence that mentions no finding at all is supported.

    Args:
        sentence: One sentence of a draft.
        supported: Names of the findings that the model predicts or a reader has set.
        schema: The findings of the model.
    """
    statements = finding_labeler(schema).read_statements(sentence)
    known = {*supported, schema.normal}
    asserted = {statement.finding for statement in statements if statement.state in _ASSERTED}
    if any(finding in schema.stated and finding not in known for finding in asserted):
        return True
    return bool(statements) and all(statement.finding not in known for statement in statements)
