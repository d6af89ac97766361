"""The language of reports, messages and the interface: one catalogue for all, read without Qt.

Texts in the code are English; ``resources/i18n/<language>.po`` holds their translations, compiled to ``.mo``.
A text with values is translated before they are filled in: ``tr("{count} polygons").format(count=12)``.
"""

from __future__ import annotations

import gettext
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "resources" / "i18n"

_catalogue: gettext.NullTranslations = gettext.NullTranslations()
_language = "en"


def use_language(locale: str) -> None:
    """Translate from now on into the language of a locale such as ``fr`` or ``fr_FR``; English where it has none."""
    global _catalogue, _language
    language = locale.replace("-", "_").split("_")[0].lower() or "en"
    if language == _language:
        return
    file = FOLDER / f"{language}.mo"
    if file.exists():
        with file.open("rb") as stream:
            _catalogue = gettext.GNUTranslations(stream)
        _language = language
    else:
        _catalogue, _language = gettext.NullTranslations(), "en"


def language() -> str:
    """The language in use, such as ``fr``; ``en`` where the locale's has no catalogue."""
    return _language


def tr(text: str) -> str:
    """The text in the language in use."""
    return _catalogue.gettext(text) if text else text
