"""Write a draft as a page for people: an HTML file, or a PDF file with the same content.

Both come from one template. WeasyPrint makes the PDF. Measured on a text of 200 sentences, 8 pages, one thread:

- WeasyPrint 70 (BSD): 0.7 s of CPU time, and 1.0 to 1.6 s for a report with two images. It has running headers, page
  numbers, tags for screen readers (PDF/UA) and embedded fonts. It comes from PyPI, but loads the system library Pango:
  a package of Debian, Homebrew and MSYS2.
- PlutoPrint 0.23 (MIT): 0.1 s, and PyPI alone. Its PDF has no tags for screen readers, and its wheel (145 MB installed)
  contains curl with OpenSSL 1.1.1, which gets no more security updates: a hospital's scanner would report it.
- xhtml2pdf 0.2, fpdf2 2.8 and reportlab 5.1: PyPI alone, but they document a part of CSS 2 or no HTML page, so that the
  PDF would need a second template. They were not measured.

The same draft gives the same bytes if the environment variable SOURCE_DATE_EPOCH is set; otherwise the font library of
WeasyPrint writes the time into the embedded fonts (https://reproducible-builds.org/specs/source-date-epoch/).
"""

from __future__ import annotations

import atexit
import base64
import gc
import hashlib
import threading
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from report_gen.errors import UsageError
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.extras import clinical_extra
from report_gen.outputs.page_content import page_content
from report_gen.records import BANNER, PROGRAM, remove_controls
from report_gen.rendering.fonts import EAST_ASIAN_FONTS, east_asian_fonts, font_file
from report_gen.rendering.outlines import OUTLINE_COLORS, label_font
from report_gen.rendering.wrapping import wrap_text

if TYPE_CHECKING:
    from jinja2 import Environment
    from weasyprint import CSS
    from weasyprint.text.fonts import FontConfiguration

_TITLE = "Draft radiology report"
"""Title of the document. It names no patient: file managers and search engines show the titles of files."""
_PAPER = {"A4": "A4", "Letter": "letter"}
"""Page sizes as CSS calls them (CSS Paged Media Level 3, 7.1)."""
_PAPER_WIDTH = {"A4": 595.3, "Letter": 612.0}
"""Widths of the page sizes, points."""
_FONTS = ("Draft Sans", "Segoe UI", "Helvetica Neue", "Noto Sans", "Arial", *EAST_ASIAN_FONTS)
"""Fonts in the order in which they are tried. Only the PDF has "Draft Sans", so that it looks the same everywhere."""


def format_html(draft: DraftDocument) -> bytes:
    """Write a draft as one HTML file that loads no other file and runs no script.

    Args:
        draft: Draft. The page shows where its findings are only if it has `attention`.

    Raises:
        StudyError: An image of the study cannot be read any more.
        UsageError: Jinja2 is not installed, or the paper size is unknown.
    """
    if draft.options.paper not in _PAPER:
        raise UsageError(f"unknown paper size {draft.options.paper!r}; choose from {', '.join(_PAPER)}")
    environment, content = _environment(), page_content(draft)
    style = environment.get_template("page.css.j2").render(
        banner=BANNER,
        size=_PAPER[draft.options.paper],
        top=f"{_top_margin(content['forced'], draft.options.paper):.1f}pt",
        fonts=_markup(", ".join(f'"{name}"' for name in _FONTS)),
        identity=_markup(_css_text(content["identity"])),
        colors=OUTLINE_COLORS,
    )
    page = environment.get_template("page.html.j2").render(
        title=_TITLE,
        banner=BANNER,
        program=PROGRAM,
        style=_markup(style),
        policy=_content_security_policy(style),
        provenance=draft.report.provenance,
        **content,
    )
    return page.encode()


def format_pdf(draft: DraftDocument) -> bytes:
    """Write a draft as a PDF file, tagged for screen readers. Its fonts are embedded.

    Args:
        draft: Draft. The page shows where its findings are only if it has `attention`.

    Raises:
        StudyError: An image of the study cannot be read any more.
        UsageError: WeasyPrint or its system library Pango is not installed, or the paper size is unknown.
    """
    page = draft.html.decode()
    with clinical_extra("the format pdf"):
        import weasyprint
        from weasyprint.urls import URLFetcher
    fonts = _FONTS_OF_THREAD.load(_font_faces(page))
    html = weasyprint.HTML(string=page, url_fetcher=URLFetcher(allowed_protocols=("data",)))
    pdf: bytes = html.write_pdf(stylesheets=[fonts.faces], font_config=fonts.configuration, pdf_tags=True)
    return pdf


class _LoadedFonts(NamedTuple):
    configuration: FontConfiguration
    faces: CSS
    """The rules that loaded the fonts."""


class _FontCache(threading.local):
    """Fonts of PDF pages, each loaded once for a thread.

    Fontconfig keeps 0.2 MB of each configuration that is no longer used (WeasyPrint 70, fontconfig 2.14), so a new one
    for each page would add up. Threads do not share the fonts, because Pango allows an object in one thread only.

    A configuration has a temporary folder, which it removes when it is deleted: at the end of its thread. Those of the
    main thread are deleted before Python unloads the modules that remove the folder.
    """

    def __init__(self) -> None:
        self._loaded: dict[str, _LoadedFonts] = {}
        if threading.current_thread() is threading.main_thread():
            atexit.register(self._delete)

    def load(self, rules: str) -> _LoadedFonts:
        """Return the fonts that CSS rules name; see `_font_faces`, which gives a few different ones only."""
        if rules not in self._loaded:
            import weasyprint
            from weasyprint.text.fonts import FontConfiguration
            from weasyprint.urls import URLFetcher

            configuration = FontConfiguration()
            faces = weasyprint.CSS(
                string=rules, font_config=configuration, url_fetcher=URLFetcher(allowed_protocols=("file",))
            )
            self._loaded[rules] = _LoadedFonts(configuration, faces)
        return self._loaded[rules]

    def _delete(self) -> None:
        self._loaded.clear()
        gc.collect()  # a configuration and the layouts of its texts refer to each other


_FONTS_OF_THREAD = _FontCache()


def _font_faces(page: str) -> str:
    """Return the CSS rules that load the fonts which a page needs; East Asian ones take seconds to load."""
    faces = [("Draft Sans", "normal", "DejaVu Sans"), ("Draft Sans", "bold", "DejaVu Sans Bold")]
    faces += [(name, "100 900", name) for name in east_asian_fonts(page)]
    return "".join(
        f'@font-face {{ font-family: "{family}"; font-weight: {weight}; src: url("{file.as_uri()}"); }}\n'
        for family, weight, name in faces
        if (file := font_file(name)) is not None
    )


def _top_margin(forced: Sequence[str], paper: str) -> float:
    """Return the height of the margin that the banner and the notices of a forced draft need, points.

    CSS gives a running header the height of the margin, whatever it contains (CSS Paged Media Level 3, 5.3). The
    numbers are those of `page.css.j2`.
    """
    width = _PAPER_WIDTH[paper] - 2 * (45.4 + 1.5 + 8 + 3.4)  # margin of the page, border, padding, padding of a notice
    lines = [len(list(wrap_text(notice, label_font(8.5), width))) for notice in forced]
    notices = sum(10.2 * count + 1.7 + 2.9 for count in lines)  # lines, padding and margin of each notice
    return max(62.4, 52 + notices)


def _css_text(text: str) -> str:
    """Escape a text for a CSS string: a backslash and the code point stand for a character (CSS 2.1, 4.3.7)."""
    return "".join(one if one.isalnum() and one.isascii() else f"\\{ord(one):x} " for one in remove_controls(text))


def _content_security_policy(style: str) -> str:
    """Return the policy that allows the embedded images and this style, and nothing else (CSP Level 3, 6.1)."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@cache
def _environment() -> Environment:
    """Return the templates. Every value is escaped and loses its control characters where it is written."""
    with clinical_extra("the format html"):
        from jinja2 import Environment, PackageLoader, StrictUndefined
    return Environment(
        loader=PackageLoader("report_gen.outputs"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=lambda value: remove_controls(value) if type(value) is str else value,
    )


def _markup(text: str) -> Any:
    """Mark a text of this program as safe: it is written as it is."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - the fonts, the style sheet and the escaped identity above
