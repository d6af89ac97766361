"""Protects the translations: every text that people read is found, none gets lost, and what is filled in stays."""

from __future__ import annotations

import ast
import gettext
import importlib.util
import io
import re
from pathlib import Path

import pytest
from landloom.model.base.html import Report
from landloom.model.base.language import language, mark, tr, use_language

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def translations():
    spec = importlib.util.spec_from_file_location("translations", ROOT / "scripts" / "translations.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["translations"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def french():
    use_language("fr_FR")
    yield
    use_language("en")


def test_texts_are_found_wherever_they_are_marked(translations):
    code = """
class One(Base):
    NAME = "A name"
    def initAlgorithm(self):
        self.add(Parameter("X", self.tr("A label")), "Some "
            "help.", advanced=True)
        self.add(declare.choice("Y", "A short label", ["not", "these"], "not"), "More help.")
        self.add_map("Help of a map.")
        self.addOutput(declare.output_number("N", "A number"))
        rows = tr("1 problem" if count == 1 else "{count} problems")
TABLE = (("key", mark("kept in a table")),)
other("not a text")
"""
    found = set(translations._texts_of(ast.parse(code), "algorithms/one.py"))
    assert found == {
        *("A name", "A label", "Some help.", "A short label", "More help.", "Help of a map.", "A number"),
        *("1 problem", "{count} problems", "kept in a table"),
    }
    assert mark("kept in a table") == "kept in a table"


def test_a_text_put_together_before_it_is_translated_is_refused(translations):
    with pytest.raises(SystemExit, match="translate first"):
        list(translations._texts_of(ast.parse('tr(f"{n} pixels")'), "model/one.py"))


def test_catalogues_come_back_as_they_were_written(translations, tmp_path):
    made = translations.Catalogue({'a "b"\\c': "à « b »", "two\nlines": "deux\nlignes", "new": ""}, {"old": "vieux"})
    made.places = {"new": ["model/x.py"]}
    made.write(tmp_path / "x.po", "fr")
    again = translations.Catalogue.read(tmp_path / "x.po")
    assert (again.texts, again.gone) == (made.texts, made.gone)
    # A text that is gone is kept, and its translation comes back with it.
    again.update({"old": ["a"], "new": ["b"]})
    assert again.texts == {"old": "vieux", "new": ""}
    assert again.gone == {'a "b"\\c': "à « b »", "two\nlines": "deux\nlignes"}


def test_compiled_catalogues_are_read_by_gettext(translations):
    made = translations.Catalogue({"maize": "maïs", "é": "accent", "empty": ""})
    compiled = made.compiled("fr")
    read = gettext.GNUTranslations(io.BytesIO(compiled))
    assert [read.gettext(text) for text in ("maize", "é", "empty", "unknown")] == ["maïs", "accent", "empty", "unknown"]
    assert compiled == translations.Catalogue(dict(reversed(made.texts.items()))).compiled("fr")


def test_other_values_to_fill_in_are_a_fault(translations):
    wrong = translations.faults(translations.Catalogue({"{n} pixels": "{m} pixels", "{a} {b}": "{b} {a}", "x": ""}))
    assert sorted(wrong) == ["not translated: x", "other values to fill in: {n} pixels -> {m} pixels"]


def test_translations_fill_in_the_same_values(translations):
    catalogue = translations.Catalogue.read(translations.FOLDER / "fr.po")
    assert len(catalogue.texts) > 500
    assert not [one for one in translations.faults(catalogue) if not one.startswith("not translated")]
    assert (translations.FOLDER / "fr.mo").read_bytes() == catalogue.compiled("fr"), "run scripts/translations.py"


def test_reports_and_algorithms_speak_french(french, landloom_provider):
    assert language() == "fr"
    assert tr("overall accuracy") == "exactitude globale"
    assert '<html lang="fr">' in Report(tr("Training report")).html()
    algorithm = landloom_provider.algorithm("train").create()
    assert algorithm.displayName() == "Entraîner un modèle"
    network = algorithm.parameterDefinition("NETWORK")
    assert network.description() == "Réseau" and "vraies dates" in network.help()
    # Ids, names of parameters and values are those of every language.
    assert algorithm.id() == "landloom:train" and "ltae" in network.options()


def test_every_text_has_its_translation(translations, landloom_provider):
    use_language("en")
    found = translations.gathered(landloom_provider)
    catalogue = translations.Catalogue.read(translations.FOLDER / "fr.po")
    advice = "run scripts/translations.py and translate what it lists in fr.po"
    assert not [text for text in found if text not in catalogue.texts], advice
    assert not [text for text in catalogue.texts if text not in found], advice
    assert not translations.faults(catalogue), advice


ERRORS = {"LandloomError", "NoAnswerError", "ChangedError", "Cancelled", "InstallError", "NoInterpreterError"}
TELLING = {"info", "warning", "text", "pushInfo", "pushWarning", "setProgressText"}


def untranslated(tree: ast.Module) -> list[str]:
    """Errors and lines of the log that are plain English, with their line."""

    def plain(text: ast.expr) -> bool:
        if isinstance(text, ast.IfExp):
            return plain(text.body) or plain(text.orelse)
        if isinstance(text, ast.BinOp):
            return plain(text.left) or plain(text.right)
        parts = text.values if isinstance(text, ast.JoinedStr) else [text]
        words = [one.value for one in parts if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        return any(re.search("[A-Za-z]{2,}", one) for one in words)

    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        told = isinstance(node.func, ast.Attribute) and node.func.attr in TELLING
        told = told and any(word in ast.unparse(node.func.value).lower() for word in ("progress", "feedback", "_inner"))
        raised = isinstance(node.func, ast.Name) and node.func.id in ERRORS
        if (told or raised) and plain(node.args[0]):
            found.append(f"{node.lineno}: {ast.unparse(node.args[0])[:100]}")
    return found


def test_errors_and_log_lines_speak_the_users_language():
    found = {}
    for folder in ("algorithms", "gui", "install", "model"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            lines = untranslated(ast.parse(path.read_text(encoding="utf-8")))
            if lines:
                found[path.relative_to(ROOT).as_posix()] = lines
    assert not found, 'write tr("... {name} ...").format(name=...), see docs/glossary.md'


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ('raise LandloomError(f"{path} is gone: give another.")', 1),
        ('raise LandloomError("Give one." if a else tr("Give two."))', 1),
        ('progress.info("Reading")\nself._progress.text(f"{n} dates")\nfeedback.pushInfo("a" + "line here")', 3),
        (
            'raise LandloomError(tr("{path} is gone.").format(path=path))\nprogress.info(f"{a}: {b}")\nx.info("of x")',
            0,
        ),
    ],
)
def test_plain_english_is_found(code, count):
    assert len(untranslated(ast.parse(code))) == count


def wrongly_filled(translations, tree: ast.Module) -> list[str]:
    """``tr("...{a}...").format(b=1)``: where the values given are not those of the text."""
    found = []
    for node in ast.walk(tree):
        filled = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format"
        inner = node.func.value if filled else None
        if not (isinstance(inner, ast.Call) and getattr(inner.func, "id", getattr(inner.func, "attr", "")) == "tr"):
            continue
        given = {one.arg for one in node.keywords}
        for text in translations._literal(inner.args[0]):
            names = set(translations.placeholders(text))
            whole = None not in given and not node.args  # else the values come from elsewhere
            if whole and not (names <= given if isinstance(inner.args[0], ast.IfExp) else names == given):
                found.append(f"{node.lineno}: {text[:60]} takes {sorted(names)}, not {sorted(given)}")
    return found


def test_texts_get_the_values_that_they_name(translations):
    """In sentences of rare errors too, which no other test may raise."""
    found = {}
    for folder in ("algorithms", "gui", "install", "model"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            lines = wrongly_filled(translations, ast.parse(path.read_text(encoding="utf-8")))
            if lines:
                found[path.relative_to(ROOT).as_posix()] = lines
    assert not found
    assert len(wrongly_filled(translations, ast.parse('tr("{a} of {b}").format(a=1)\ntr("{a}").format(a=1, b=2)'))) == 2
    assert not wrongly_filled(
        translations, ast.parse('tr("{a:,.1f} of {b!r}").format(a=1, b=2)\ntr("{a}").format(**x)')
    )


def test_errors_speak_french(french):
    from landloom.install import how_to_get
    from landloom.install.failures import explain
    from landloom.model.base.errors import Cancelled, MissingPackageError
    from landloom.model.base.words import counted
    from landloom.model.stack.manifest import Stack

    with pytest.raises(Exception, match="n'existe pas ; faites-la avec preparestack"):
        Stack.read("gone.json")
    assert how_to_get("unknown") == "Installez-le pour le Python de QGIS par : pip install unknown."
    assert explain("OSError: [Errno 28] No space left on device").startswith("Le disque est plein")
    assert str(Cancelled()) == "Annulé : rien n'est écrit."
    assert str(MissingPackageError("torch", "A network")).startswith("Un réseau : il faut le paquet Python torch")
    assert [counted(n, "class", "classes") for n in (0, 1, 2)] == ["0 classe", "1 classe", "2 classes"]
    use_language("en")
    assert [counted(n, "class", "classes") for n in (0, 1, 2)] == ["0 classes", "1 class", "2 classes"]


def test_engine_without_catalogues_speaks_english(monkeypatch, tmp_path):
    """As on a cluster node, where the engine alone is installed."""
    import landloom.model.base.language as module

    monkeypatch.setattr(module, "FOLDER", tmp_path)
    use_language("fr")
    assert language() == "en" and tr("Writing the points") == "Writing the points"
