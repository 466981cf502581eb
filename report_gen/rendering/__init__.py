"""Draw figures, charts and HTML pages, without knowledge of reports, scores or corpora.

`report_gen.rendering.figures` draws with matplotlib and is therefore imported on its own.
"""

from report_gen.rendering.html import render_document
from report_gen.rendering.svg import Bar, draw_bars, draw_histogram

__all__ = ["Bar", "draw_bars", "draw_histogram", "render_document"]
