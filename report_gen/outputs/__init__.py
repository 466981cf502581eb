"""Drafts as files. Every output says first that it is a draft."""

from report_gen.outputs.json import format_json
from report_gen.outputs.text import format_text

__all__ = ["format_json", "format_text"]
