"""The docs say what is: pages are those of the code, links lead somewhere, commands and messages exist."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
from qgis.core import QgsProcessingParameterDefinition, QgsProcessingParameterEnum

ROOT = Path(__file__).resolve().parents[2]
REFRESH = "run scripts/make_parameters_page.py and commit docs/algorithms, docs/parameters.md and resources/help"
FRESH = "resources/help/docs/"  # made anew for the zip, so that an edit of docs/*.md need not remake them


def _script(name):
    spec = importlib.util.spec_from_file_location(f"landloom_script_{name}", ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(landloom_provider):
    """Path -> content, of every page that is made from the code."""
    return _script("make_parameters_page").all_pages(landloom_provider)


def _documents():
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_pages_are_those_of_the_code(pages) -> None:
    stale = []
    for name, text in pages.items():
        there = (ROOT / name).exists()
        if not there or (not name.startswith(FRESH) and (ROOT / name).read_text(encoding="utf-8") != text):
            stale.append(name)
    assert not stale, f"{REFRESH}: {', '.join(stale[:5])} ..."


def test_no_page_is_left_of_what_is_gone(pages) -> None:
    kept = [*(ROOT / "docs" / "algorithms").rglob("*.*"), *(ROOT / "resources" / "help").rglob("*.*")]
    assert {path.relative_to(ROOT).as_posix() for path in kept} == set(pages) - {"docs/parameters.md"}, REFRESH


def test_every_algorithm_has_a_page_with_all_its_parameters(landloom_provider, pages) -> None:
    for algorithm in landloom_provider.algorithms():
        page = pages[f"docs/algorithms/{algorithm.name()}.md"]
        assert algorithm.EXAMPLE in page
        assert (
            "](../guide/" in page or "](../accuracy.md" in page or "](../fusion.md" in page or "](../objects.md" in page
        )
        for one in algorithm.parameterDefinitions():
            assert f"| `{one.name()}` |" in page
        assert f"(algorithms/{algorithm.name()}.md)" in pages["docs/parameters.md"]


def test_the_help_button_opens_a_page_of_the_plugin_in_its_language(landloom_provider) -> None:
    from landloom.model.base.language import use_language

    for language, word in (("en", "Parameters"), ("fr", "Paramètres"), ("xx", "Parameters")):
        use_language(language)
        try:
            for algorithm in landloom_provider.algorithms():
                address = urlparse(algorithm.helpUrl())
                path = Path(unquote(address.path))
                assert address.scheme == "file" and path.is_file(), algorithm.name()
                assert ROOT in path.parents
                text = path.read_text(encoding="utf-8")
                assert f"<code>{algorithm.name()}</code></h1>" in text
                assert word in text or algorithm.name() == "status"
                assert "http://" not in re.sub(r"<(code|a)\b.*?</\1>", "", text)  # nothing is fetched
        finally:
            use_language("en")


def _anchors(path):
    tool = _script("markdown_html")
    return {tool.anchor(line) for line in re.findall(r"^#+ +(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)}


@pytest.mark.parametrize("path", _documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_of_the_docs_lead_somewhere(path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, heading = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not heading or heading in _anchors(target), link


def test_links_of_the_help_lead_somewhere(pages) -> None:
    for name, text in pages.items():
        if not name.endswith(".html"):
            continue
        for link in re.findall(r'(?:href|src)="([^"]+)"', text):
            if re.match(r"[a-z]+:", link) or link.startswith("#"):
                continue
            file, _, heading = link.partition("#")
            target = (ROOT / name).parent / file
            assert target.exists(), f"{name}: {link}"
            if heading and target.suffix == ".html":
                assert f'id="{heading}"' in target.read_text(encoding="utf-8"), f"{name}: {link}"


def _commands(path):
    """(algorithm, {parameter: values}) of the commands in the blocks of a page."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            if "run landloom:" not in line:
                continue
            words = shlex.split(line, comments=True)
            at = words.index("run")
            given = {}
            for word in words[at + 2 :]:
                if word.startswith("--"):
                    name, _, value = word[2:].partition("=")
                    given.setdefault(name, []).append(value)
            yield words[at + 1], given, "-" in words


@pytest.mark.parametrize("path", _documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_of_the_docs_exist(path, landloom_provider) -> None:
    for full, given, by_file in _commands(path):
        algorithm = landloom_provider.algorithm(full.removeprefix("landloom:"))
        assert algorithm is not None, full
        definitions = {one.name(): one for one in algorithm.parameterDefinitions()}
        assert set(given) <= set(definitions), f"{full}: {set(given) - set(definitions)}"
        for name, values in given.items():
            one = definitions[name]
            if isinstance(one, QgsProcessingParameterEnum):
                chosen = [word for value in values for word in value.split(",")]
                assert set(chosen) <= set(one.options()), f"{full}: {name}={values}"
            assert values != [""], f"{full}: {name} is empty"
        optional = QgsProcessingParameterDefinition.Flag.FlagOptional
        required = {n for n, one in definitions.items() if not one.flags() & optional and one.defaultValue() is None}
        assert by_file or required <= set(given), f"{full}: lacks {required - set(given)}"


def test_parameters_named_in_the_guide_exist(landloom_provider) -> None:
    names = {one.name() for a in landloom_provider.algorithms() for one in a.parameterDefinitions()}
    names |= {one.name() for a in landloom_provider.algorithms() for one in a.outputDefinitions()}
    for path in (ROOT / "docs" / "guide").glob("*.md"):
        text = re.sub(r"```.*?```|`[^`]*`|\([^)\s]+\)", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        found = set(re.findall(r"\b[A-Z]{2,}(?:_[A-Z]+)+\b", text)) - {"BOA_ADD_OFFSET", "PIP_CERT"}
        assert found <= names, f"{path.name}: {found - names}"


def _sentences():
    """Every text in the code, with a bar where a value is filled in."""
    for folder in ("algorithms", "install", "model"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield re.sub(r"\{[^{}]*\}", "|", node.value)
                elif isinstance(node, ast.JoinedStr):
                    yield "".join(one.value if isinstance(one, ast.Constant) else "|" for one in node.values)


def test_messages_of_the_guide_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "guide" / "troubleshooting.md").read_text(encoding="utf-8")
    code = "\n".join(_sentences())
    quoted = [
        one
        for line in text.splitlines()
        if line.startswith("| `")
        for one in re.findall(r"`([^`]+)`", line.split("|")[1])
    ]
    pieces = [
        (one, piece.strip()) for one in quoted for piece in re.split(r"'?\.\.\.'?", one) if len(piece.strip()) >= 8
    ]
    assert len(pieces) > 40
    gone = [f"{one}: '{piece}'" for one, piece in pieces if piece not in code and not piece.startswith("qgis_process")]
    assert not gone, "\n".join(gone)


def test_markdown_becomes_html() -> None:
    tool = _script("markdown_html")
    made = tool.body(
        "# A `b` & <c>\n\nOne *two*\n**three** [four](five.md#six).\n\n| a | b |\n|---|---|\n| x \\| y | `<z>` |\n\n"
        "1. first\n   goes on\n2. second\n\n```sh\na < b --c=*d*\n```\n",
        lambda link: link.replace(".md", ".html"),
    )
    assert '<h1 id="a-b--c">A <code>b</code> &amp; &lt;c&gt;</h1>' in made
    assert '<p>One <i>two</i> <b>three</b> <a href="five.html#six">four</a>.</p>' in made
    assert "<td>x | y</td><td><code>&lt;z&gt;</code></td>" in made
    assert "<ol>\n<li>first goes on</li>\n<li>second</li>\n</ol>" in made
    assert "<pre><code>a &lt; b --c=*d*</code></pre>" in made


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs" / "guide" / "pictures").glob("*.png")), ids=lambda path: path.name
)
def test_pictures_are_small_and_shown(path) -> None:
    assert path.stat().st_size < 250_000
    assert any(
        f"pictures/{path.name})" in one.read_text(encoding="utf-8") for one in (ROOT / "docs" / "guide").glob("*.md")
    )
