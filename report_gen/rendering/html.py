"""Frame of every HTML page: one file that loads no other file and runs no script, in the light or dark color scheme."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from report_gen.controls import escape_controls

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_STYLE = """
:root { color-scheme: light dark; --ink: #1f4e79; --line: #c0504d; }
@media (prefers-color-scheme: dark) { :root { --ink: #7fb2e5; --line: #f2a097; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
svg, img { display: block; max-width: 100%; height: auto; margin: .5rem 0 1rem; }
svg text { font-size: 12px; fill: currentColor; } .end { text-anchor: end; }
.bar { fill: var(--ink); opacity: .75; } .faint { opacity: .3; } .whisker { stroke: var(--line); stroke-width: 2; }
.axis { stroke: currentColor; opacity: .5; }
.fails { color: #c00; font-weight: bold; } .notice { color: #a60; }
table { border-collapse: collapse; width: 100%; } td, th { padding: .4rem; vertical-align: top; text-align: left; }
td { border-top: 1px solid #8884; width: 50%; } .figures td { width: auto; }
mark { background: #ffd54f66; color: inherit; } code { font-size: .85em; }
"""


def render_document(title: str, body: Iterable[str], *, style: str = "") -> str:
    """Return a complete page. Control characters of texts are escaped, for readers of the page and of its source.

    Args:
        title: Title of the document, plain text.
        body: Lines of HTML. Images must be `data:` URLs or inline SVG; the content security policy blocks others.
        style: CSS rules for this page, appended to the common rules.
    """
    head = (
        f'<head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n<style>{_STYLE}{style}</style></head>'
    )
    page = "\n".join(["<!DOCTYPE html>", '<html lang="en">', head, "<body>", *body, "</body>", "</html>", ""])
    return escape_controls(page)
