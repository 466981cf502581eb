"""Write drafts to files. Every format contains the banner that the document is a draft.

`report_gen.outputs.overlay` needs the attention maps of a model and draws with matplotlib. It is therefore not in the
registry, and it is imported on its own.
"""

from report_gen.outputs.document import DocumentOptions, DraftDocument
from report_gen.outputs.formats import OutputFormat, find_format, format_names, get_format
from report_gen.outputs.json import format_json, json_schema
from report_gen.outputs.text import format_text

__all__ = [
    "DocumentOptions",
    "DraftDocument",
    "OutputFormat",
    "find_format",
    "format_json",
    "format_names",
    "format_text",
    "get_format",
    "json_schema",
]
