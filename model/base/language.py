"""The language of reports, messages and the interface: one catalogue for all, read without Qt.

Texts in the code are English; ``resources/i18n/<language>.po`` holds their translations, compiled to ``.mo``.
A text with values is translated before they are filled in: ``tr("{count} polygons").format(count=12)``.
"""

from __future__ import annotations

import gettext
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "resources" / "i18n"


class _Catalogue:
    """The one catalogue of the process, as QGIS has one language."""

    def __init__(self) -> None:
        self.language = "en"
        self.texts: gettext.NullTranslations = gettext.NullTranslations()

    def use(self, name: str) -> None:
        file = FOLDER / f"{name}.mo"
        if not file.exists():
            self.language, self.texts = "en", gettext.NullTranslations()
            return
        with file.open("rb") as stream:
            self.language, self.texts = name, gettext.GNUTranslations(stream)


_CATALOGUE = _Catalogue()


def use_language(locale: str) -> None:
    """Translate from now on into the language of a locale such as ``fr`` or ``fr_FR``; English where it has none."""
    name = locale.replace("-", "_").split("_")[0].lower()
    if name != _CATALOGUE.language:
        _CATALOGUE.use(name)


def language() -> str:
    """The language in use, such as ``fr``; ``en`` where the locale's has no catalogue."""
    return _CATALOGUE.language


def tr(text: str) -> str:
    """The text in the language in use."""
    return _CATALOGUE.texts.gettext(text) if text else text


def mark(text: str) -> str:
    """The text as it is: one that is kept in a table and translated later comes into the catalogue by this."""
    return text
