"""Find the font files that texts in images and PDF files are drawn with."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

_PACKAGES = {
    "DejaVu Sans": ("matplotlib", "mpl-data/fonts/ttf/DejaVuSans.ttf"),
    "DejaVu Sans Bold": ("matplotlib", "mpl-data/fonts/ttf/DejaVuSans-Bold.ttf"),
    "Noto Sans JP": ("justmytype_intl_cjk", "fonts/ofl/notosansjp/NotoSansJP[wght].ttf"),
    "Noto Sans KR": ("justmytype_intl_cjk", "fonts/ofl/notosanskr/NotoSansKR[wght].ttf"),
    "Noto Sans SC": ("justmytype_intl_cjk", "fonts/ofl/notosanssc/NotoSansSC[wght].ttf"),
    "Noto Sans TC": ("justmytype_intl_cjk", "fonts/ofl/notosanstc/NotoSansTC[wght].ttf"),
}
"""By font: the package that contains it and its path in that package.

DejaVu Sans comes with matplotlib and has Latin, Greek, Cyrillic, Armenian, Georgian, Hebrew and Arabic. Noto Sans comes
with an optional package and has Japanese, Korean and Chinese. Both are free fonts (Bitstream Vera License, OFL 1.1).
"""

EAST_ASIAN_FONTS = ("Noto Sans JP", "Noto Sans KR", "Noto Sans SC", "Noto Sans TC")


@cache
def font_file(name: str) -> Path | None:
    """Return the file of a font, or None if the package that contains it is not installed.

    The package is located, not imported: matplotlib takes a second to import.

    Args:
        name: Name of the font, such as "DejaVu Sans Bold" or "Noto Sans JP".
    """
    package, path = _PACKAGES[name]
    spec = find_spec(package)
    folders = [] if spec is None else spec.submodule_search_locations or []
    return next((file for folder in folders if (file := Path(folder) / path).is_file()), None)


def east_asian_fonts(text: str) -> tuple[str, ...]:
    """Return the fonts that a text with Chinese, Japanese or Korean characters needs; none for other texts.

    Unicode assigns one code to a Chinese character in all three languages (The Unicode Standard, 18.1), but its shape
    differs. The first font is that of the language of which the text has letters: Kana for Japanese, Hangul for Korean.
    """
    kana = any("\u3040" <= character <= "\u30ff" or "\uff66" <= character <= "\uff9d" for character in text)
    hangul = any("\u1100" <= character <= "\u11ff" or "\u3130" <= character <= "\u318f" for character in text)
    hangul = hangul or any("\uac00" <= character <= "\ud7ff" for character in text)
    han = any("\u2e80" <= character <= "\u9fff" or "\uf900" <= character <= "\ufaff" for character in text)
    han = han or any("\U00020000" <= character <= "\U000323af" for character in text)
    fonts = (("Noto Sans JP", kana), ("Noto Sans KR", hangul), ("Noto Sans SC", han), ("Noto Sans TC", han))
    return tuple(name for name, needed in fonts if needed)
