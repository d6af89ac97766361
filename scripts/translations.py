"""Keeps resources/i18n: gathers the texts that people read, and compiles their translations.

Run it as ``.venv/bin/python scripts/translations.py`` after texts have changed: it writes new ones to ``fr.po`` with an
empty translation, marks those that are gone (``#~``), compiles ``fr.mo`` and lists what is missing. Translate in
``fr.po`` with any editor, and run it again. A test compares code, ``fr.po`` and ``fr.mo``.

Texts are found in the code, without running it: the literal in ``tr("...")``, ``self.tr("...")`` and ``mark("...")``,
the nouns in ``counted(n, "date")``, what needs a package in ``need("torch", "A network")``,
the names, groups and summaries of algorithms, label and help in ``self.add(declare.whole("RUNS", "Runs", 3), "...")``
and the help in ``self.add_map("...")``; and in the algorithms as QGIS lists them, for labels that are kept in tables.
"""

from __future__ import annotations

import ast
import os
import string
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "resources" / "i18n"
SOURCES = ("plugin.py", "algorithms", "gui", "install", "model")
LANGUAGES = ("fr",)
_CALLS = ("tr", "mark")
_NOUNS = ("counted", "need")
_ATTRIBUTES = ("NAME", "GROUP", "SUMMARY")
_HEADER = (
    "Project-Id-Version: Landloom\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n"
    "Content-Transfer-Encoding: 8bit\nLanguage: {language}\n"
)


@dataclass
class Catalogue:
    """A ``.po`` file.

    Attributes:
        texts: English -> translation, empty where there is none yet.
        gone: the same of texts that are no longer in the code, kept in case they come back.
        places: where each text stands.
    """

    texts: dict[str, str] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Catalogue:
        """Read a file; an empty catalogue where there is none."""
        made = cls()
        if not path.exists():
            return made
        entry: dict[str, str] = {}
        key, gone = "", False

        def close() -> None:
            if entry.get("msgid"):
                (made.gone if gone else made.texts)[entry["msgid"]] = entry.get("msgstr", "")
            entry.clear()

        for line in path.read_text(encoding="utf-8").splitlines():
            old = line.startswith("#~ ")
            text = line[3:] if old else line
            if text.startswith("msgid "):
                close()
                key, gone = "msgid", old
            elif text.startswith("msgstr "):
                key = "msgstr"
            elif not text.startswith('"'):
                continue
            quoted = text[text.index('"') :] if '"' in text else '""'
            entry[key] = entry.get(key, "") + ast.literal_eval(quoted)
        close()
        return made

    def update(self, found: Mapping[str, list[str]]) -> None:
        """Take over the texts found in the code: new ones come in, others are kept as gone."""
        known = {**self.gone, **self.texts}
        self.gone = {text: known[text] for text in known if text not in found and known[text]}
        self.texts = {text: known.get(text, "") for text in found}
        self.places = dict(found)

    def write(self, path: Path, language: str) -> None:
        """Write the file, in the order of the English texts."""
        lines = [
            'msgid ""',
            'msgstr ""',
            *(_quoted(line) for line in _HEADER.format(language=language).splitlines(True)),
        ]
        for text in sorted(self.texts):
            places = self.places.get(text, [])
            lines += ["", *(f"#: {place}" for place in places[:3]), *_entry(text, self.texts[text])]
        for text in sorted(self.gone):
            lines += ["", *(f"#~ {line}" for line in _entry(text, self.gone[text]))]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def compiled(self, language: str) -> bytes:
        """The ``.mo`` file: the format of GNU gettext, texts sorted by their bytes."""
        pairs = {"": _HEADER.format(language=language), **{k: v for k, v in self.texts.items() if v}}
        entries = sorted((k.encode(), v.encode()) for k, v in pairs.items())
        start = 28 + 16 * len(entries)
        keys = b"".join(key + b"\0" for key, _ in entries)
        values = b"".join(value + b"\0" for _, value in entries)
        head, place = b"", start
        for key, _ in entries:
            head += struct.pack("<II", len(key), place)
            place += len(key) + 1
        for _, value in entries:
            head += struct.pack("<II", len(value), place)
            place += len(value) + 1
        table = struct.pack("<7I", 0x950412DE, 0, len(entries), 28, 28 + 8 * len(entries), 0, start)
        return table + head + keys + values


def texts_in_code() -> dict[str, list[str]]:
    """Text -> the files where it stands.

    Raises:
        SystemExit: if a text is put together before it is translated, which no catalogue can hold.
    """
    found: dict[str, list[str]] = {}
    for source in SOURCES:
        path = ROOT / source
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path] if path.exists() else []
        for file in files:
            place = file.relative_to(ROOT).as_posix()
            for text in _texts_of(ast.parse(file.read_text(encoding="utf-8")), place):
                if text.strip() and place not in found.setdefault(text, []):
                    found[text].append(place)
    return found


def _texts_of(tree: ast.Module, place: str) -> Iterator[str]:
    algorithms = place.startswith("algorithms/")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in _CALLS and node.args:
                if isinstance(node.args[0], ast.JoinedStr):
                    raise SystemExit(f"{place}, line {node.lineno}: translate first, then fill in: tr('...').format()")
                yield from _literal(node.args[0])
            elif name in _NOUNS and len(node.args) > 1:
                yield from _nouns(name, node.args[1:])
            elif algorithms and name.startswith("add"):
                yield from _declared(name, node.args)
        elif algorithms and isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.Assign) and getattr(line.targets[0], "id", "") in _ATTRIBUTES:
                    yield from _literal(line.value)


def _declared(name: str, arguments: list[ast.expr]) -> Iterator[str]:
    """Label and help in ``add(declare.whole("RUNS", "Runs", 3), "help")``, and the helps of ``add_map("help")``."""
    if name.startswith("add_"):
        for one in arguments:
            yield from _literal(one)
    elif arguments and isinstance(arguments[0], ast.Call):
        for one in arguments[0].args[1:2] + arguments[1:2]:
            yield from _literal(one)


def _nouns(name: str, arguments: list[ast.expr]) -> Iterator[str]:
    """What ``counted(n, "date")`` and ``need("torch", "A network")`` translate themselves."""
    words = [one.value for one in arguments if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    if len(words) == len(arguments) and words:
        yield from words
        if name == "counted" and len(words) == 1:
            yield words[0] + "s"


def _literal(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):  # tr("1 problem" if count == 1 else "{count} problems")
        yield from _literal(node.body)
        yield from _literal(node.orelse)


def texts_of_algorithms(provider: object) -> dict[str, list[str]]:
    """Names, labels and help as QGIS lists them, text -> the algorithms that show it; English must be in use."""
    found: dict[str, list[str]] = {}
    for listed in provider.algorithms():  # type: ignore[attr-defined]
        algorithm = listed.create()  # labels are made in the language of now
        parameters = algorithm.parameterDefinitions()
        texts = [algorithm.NAME, algorithm.GROUP, algorithm.SUMMARY]
        texts += [text for one in parameters for text in (one.description(), one.help())]
        texts += [one.description() for one in algorithm.outputDefinitions()]
        for text in texts:
            if text.strip() and algorithm.name() not in found.setdefault(text, []):
                found[text].append(algorithm.name())
    return found


def placeholders(text: str) -> list[str]:
    """The names of the values that are filled in, sorted; raises ValueError where the braces do not match."""
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


def faults(catalogue: Catalogue) -> list[str]:
    """What is wrong with the translations: missing, or with other values to fill in."""
    wrong = []
    for text, translation in sorted(catalogue.texts.items()):
        if not translation:
            wrong.append(f"not translated: {text}")
        elif _values(text) != _values(translation):
            wrong.append(f"other values to fill in: {text} -> {translation}")
    return wrong


def _values(text: str) -> list[str]:
    try:
        return placeholders(text)
    except ValueError:  # a text that is not formatted may hold a lone brace
        return [text.count("{"), text.count("}")]  # type: ignore[list-item]


def gathered(provider: object) -> dict[str, list[str]]:
    """All texts, with where they stand."""
    found = texts_in_code()
    for text, names in texts_of_algorithms(provider).items():
        if text not in found:
            found[text] = [f"landloom:{name}" for name in names]
    return found


def _entry(text: str, translation: str) -> list[str]:
    return [*_lines("msgid", text), *_lines("msgstr", translation)]


def _lines(key: str, text: str) -> list[str]:
    parts = text.splitlines(True)
    return [f"{key} {_quoted(text)}"] if len(parts) < 2 else [f'{key} ""', *(_quoted(part) for part in parts)]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def load_provider() -> tuple[object, object]:
    """The plugin's provider in English, and QGIS's application, to be kept."""
    from loading import load_package  # beside this script
    from qgis.core import QgsApplication

    application = QgsApplication([], False)
    application.initQgis()
    plugin = load_package().classFactory(None)
    plugin.initProcessing()  # registered, since example models name its algorithms
    from landloom.model.base.language import use_language

    use_language("en")
    return plugin.provider, application


def main() -> None:
    """Bring the catalogues up to date."""
    provider, application = load_provider()
    found = gathered(provider)
    for language in LANGUAGES:
        path = FOLDER / f"{language}.po"
        catalogue = Catalogue.read(path)
        catalogue.update(found)
        catalogue.write(path, language)
        path.with_suffix(".mo").write_bytes(catalogue.compiled(language))
        wrong = faults(catalogue)
        print("\n".join(wrong))
        print(f"{path.name}: {len(found)} texts, {len(wrong)} to see to, {len(catalogue.gone)} no longer used")
    del provider
    application.exitQgis()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
