"""Drafts as files. Every output says first that it is a draft."""

from report_gen.outputs.json_document import format_json
from report_gen.outputs.text import format_text
from report_gen.outputs.writing import write_atomically

__all__ = ["format_json", "format_text", "write_atomically"]
