"""The language of texts: unknown locales fall back to English, and nothing stays behind from a language used before."""

from landloom.model.base.language import language, tr, use_language


def test_a_locale_without_a_catalogue_gives_english() -> None:
    use_language("xx_XX")
    assert language() == "en"
    assert tr("Overall accuracy") == "Overall accuracy"


def test_an_empty_text_stays_empty() -> None:
    # gettext gives the header of the catalogue for an empty text.
    assert tr("") == ""
