"""Writes the pages of the algorithms from the algorithms themselves, so that they never go stale; a test compares them.

Run it as ``.venv/bin/python scripts/make_parameters_page.py``, and commit what it writes:

- ``docs/algorithms/<id>.md``, a page each, and ``docs/parameters.md``, the list of them;
- ``resources/help/<language>/<id>.html``, what QGIS's Help button opens, in English and French, without network;
- ``resources/help/guide/<name>.html`` and ``resources/help/docs/<name>.html``, the pages that those lead to. The latter
  are made anew for the zip (``scripts/package.py``), so that it does no harm to forget them.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from qgis.core import (
    QgsApplication,
    QgsProcessingAlgorithm,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterFile,
)

ROOT = Path(__file__).resolve().parents[1]
LANGUAGES = ("en", "fr")
# Where the user guide tells of an algorithm: file and heading, relative to docs/.
GUIDE = {
    "searchproducts": ("guide/how-to.md#search-images-in-a-catalogue", "images.md"),
    "preparestack": ("guide/how-to.md#map-your-own-archive-folder", "images.md"),
    "addrasters": ("guide/how-to.md#use-images-of-any-other-kind", "images.md"),
    "composite": ("guide/how-to.md#work-where-it-is-nearly-always-cloudy", "images.md"),
    "coregister": ("guide/how-to.md#use-images-of-any-other-kind", "images.md#dates-that-lie-beside-each-other"),
    "mosaic": ("guide/how-to.md#map-another-place-or-year", "fusion.md"),
    "openstack": ("guide/how-to.md#work-where-it-is-nearly-always-cloudy", "panel.md"),
    "samplescene": ("guide/tutorial.md",),
    "nomenclature": ("guide/how-to.md#put-the-classes-in-order", "guide/files.md#the-nomenclature"),
    "extractsamples": ("guide/how-to.md#work-with-few-labels", "guide/files.md#the-samples"),
    "train": ("guide/how-to.md#work-with-few-labels", "guide/files.md#the-model"),
    "classify": ("guide/how-to.md#map-another-place-or-year", "guide/files.md#the-map"),
    "landcovermap": ("guide/tutorial.md", "guide/how-to.md#map-your-own-archive-folder"),
    "fuse": ("fusion.md",),
    "landcoverfromproducts": ("guide/how-to.md#run-from-python-a-model-or-a-script", "guide/tutorial.md"),
    "objectsfromstack": ("guide/how-to.md#classify-fields-instead-of-pixels", "objects.md"),
    "comparetwoyears": ("guide/how-to.md#compare-two-years-or-two-runs", "guide/how-to.md#map-another-place-or-year"),
    "difference": ("guide/how-to.md#compare-two-years-or-two-runs", "accuracy.md"),
    "regularise": ("objects.md#clean-a-map-regularise",),
    "vectorise": ("objects.md#a-map-as-polygons-vectorise",),
    "segment": ("guide/how-to.md#classify-fields-instead-of-pixels", "objects.md"),
    "objectfeatures": ("guide/how-to.md#classify-fields-instead-of-pixels", "objects.md"),
    "trainobjects": ("guide/how-to.md#classify-fields-instead-of-pixels", "objects.md"),
    "classifyobjects": ("guide/how-to.md#classify-fields-instead-of-pixels", "objects.md"),
    "descriptors": ("guide/how-to.md#classify-fields-instead-of-pixels",),
    "suggestlabels": ("guide/how-to.md#work-with-few-labels",),
    "compare": ("guide/how-to.md#compare-with-a-map-of-iota2", "compare.md"),
    "assess": ("guide/how-to.md#compare-with-a-map-of-iota2", "accuracy.md"),
    "sampledesign": ("accuracy.md",),
    "areas": ("accuracy.md",),
    "layout": ("guide/how-to.md#share-a-map",),
    "check": ("guide/troubleshooting.md",),
    "fromiota2": ("guide/from-iota2.md",),
    "status": ("guide/install.md", "guide/troubleshooting.md"),
}
WORDS = {
    "en": {
        "example": "Example",
        "python": "In Python",
        "parameters": "Parameters",
        "outputs": "What it writes",
        "returned": "Also returned",
        "header": "parameter | what it is | value | default | help",
        "out_header": "parameter | what it is | file | help",
        "guide": "In the guide",
        "all": "all algorithms",
        "reports": "Files beside a report are listed in [Reports]({link}).",
        "optional": "optional",
        "advanced": "advanced",
        "whole number": "whole number",
        "number": "number",
        "or more": "{low} or more",
        "up to": "up to {high}",
        "to": "{low} to {high}",
        "one of": "one of {names}",
        "some of": "some of {names}",
        "yes or no": "True or False",
        "folder": "folder",
        "file": "file",
        "raster": "raster",
        "rasters": "rasters",
        "layers": "files or folders",
        "vector": "vector layer",
        "layer": "vector or raster layer",
        "colon": ":",
        "field": "field of {parent}",
        "extent": "extent: xmin,xmax,ymin,ymax [EPSG:code]",
        "crs": "CRS, such as EPSG:32738",
        "text": "text",
    },
    "fr": {
        "example": "Exemple",
        "python": "En Python",
        "parameters": "Paramètres",
        "outputs": "Ce qui est écrit",
        "returned": "Également renvoyé",
        "header": "paramètre | ce que c'est | valeur | par défaut | aide",
        "out_header": "paramètre | ce que c'est | fichier | aide",
        "guide": "Dans le guide (en anglais)",
        "all": "tous les algorithmes",
        "reports": "Les fichiers à côté d'un rapport sont décrits dans [Reports]({link}) (en anglais).",
        "optional": "facultatif",
        "advanced": "avancé",
        "whole number": "nombre entier",
        "number": "nombre",
        "or more": "{low} ou plus",
        "up to": "jusqu'à {high}",
        "to": "{low} à {high}",
        "one of": "l'un de {names}",
        "some of": "parmi {names}",
        "yes or no": "True ou False",
        "folder": "dossier",
        "file": "fichier",
        "raster": "raster",
        "rasters": "rasters",
        "layers": "fichiers ou dossiers",
        "vector": "couche vecteur",
        "layer": "couche vecteur ou raster",
        "colon": " :",
        "field": "champ de {parent}",
        "extent": "emprise : xmin,xmax,ymin,ymax [EPSG:code]",
        "crs": "SCR, comme EPSG:32738",
        "text": "texte",
    },
}
_FILES = {"rasterDestination": "GeoTIFF", "vectorDestination": "GeoPackage ...", "sink": "GeoPackage ..."}
_KINDS = {
    "boolean": "yes or no",
    "raster": "raster",
    "source": "vector",
    "vector": "vector",
    "layer": "layer",
    "extent": "extent",
    "crs": "crs",
}
_HUGE = 1e100  # QGIS's ends of a number without limit


def markdown_html() -> ModuleType:
    """The module beside this script, whatever the path is."""
    path = Path(__file__).with_name("markdown_html.py")
    spec = importlib.util.spec_from_file_location("landloom_markdown_html", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cell(text: str) -> str:
    """Text that stays in one cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def value_of(one: QgsProcessingParameterDefinition, words: dict[str, str]) -> str:
    """What kind of value a parameter takes, and its range."""
    kind = one.type()
    if kind == "number" or kind in ("distance", "area"):
        low, high = one.minimum(), one.maximum()
        name = words["whole number" if int(one.dataType()) == 0 else "number"]
        low_text = f"{low:g}" if low < 1e6 else f"{low:.0f}"
        high_text = f"{high:g}" if high < 1e6 else f"{high:.0f}"
        if low > -_HUGE and abs(low) < 2**31 - 1 and high < 2**31 - 1:
            name += ", " + words["to"].format(low=low_text, high=high_text)
        elif low > -_HUGE and abs(low) < 2**31 - 1:
            name += ", " + words["or more"].format(low=low_text)
        elif high < 2**31 - 1:
            name += ", " + words["up to"].format(high=high_text)
    elif kind == "enum":
        names = ", ".join(f"`{option}`" for option in one.options())
        name = words["some of" if one.allowMultiple() else "one of"].format(names=names)
    elif kind == "file":
        folder = one.behavior() == QgsProcessingParameterFile.Behavior.Folder
        name = words["folder" if folder else "file"]
    elif kind == "multilayer":
        name = words["rasters" if "aster" in str(one.layerType()) or int(one.layerType()) == 3 else "layers"]
    elif kind == "field":
        name = words["field"].format(parent=f"`{one.parentLayerParameterName()}`")
    else:
        name = words[_KINDS.get(kind, "text")]
    flags = one.flags()
    if flags & QgsProcessingParameterDefinition.Flag.FlagOptional:
        name += f"; {words['optional']}"
    if flags & QgsProcessingParameterDefinition.Flag.FlagAdvanced:
        name += f"; {words['advanced']}"
    return name


def written_as(one: QgsProcessingParameterDefinition, words: dict[str, str]) -> str:
    """What kind of file a destination is."""
    kind = one.type()
    if kind == "fileDestination":
        found = re.findall(r"\*(\.\w+)", one.fileFilter())
        name = ", ".join(dict.fromkeys(found)) or words["file"]
    elif kind == "folderDestination":
        name = words["folder"]
    else:
        name = _FILES.get(kind, words["file"])
    if one.flags() & QgsProcessingParameterDefinition.Flag.FlagOptional:
        name += f"; {words['optional']}"
    return name


def python_of(example: str) -> str:
    """The same call from Python."""
    values: dict[str, list[str]] = {}
    line = shlex.split(example)
    for word in line[3:]:
        name, _, value = word.removeprefix("--").partition("=")
        values.setdefault(name, []).append(value)
    shown = ", ".join(f'"{name}": {_python(given)}' for name, given in values.items())
    return f'processing.run("{line[2]}", {{{shown}}})'


def _python(given: list[str]) -> str:
    quoted = ['"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in given]
    if len(given) > 1:
        return "[" + ", ".join(quoted) + "]"
    return given[0] if re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?", given[0]) else quoted[0]


def algorithm_page(algorithm: QgsProcessingAlgorithm, language: str = "en") -> str:
    """The page of one algorithm: what it does, an example, its parameters, what it writes. Links are relative to it."""
    words = WORDS[language]
    example = getattr(algorithm, "EXAMPLE", "")
    lines = [f"# {algorithm.displayName()}{words['colon']} `{algorithm.name()}`", ""]
    lines += [f"*{algorithm.group()}.* {algorithm.shortDescription()}", ""]
    links = [f"[{title_of(target)}](../{target})" for target in GUIDE.get(algorithm.name(), ())]
    lines += [f"{words['guide']}{words['colon']} {', '.join(links)}; [{words['all']}](../parameters.md).", ""]
    lines += [f"## {words['example']}", "", "```sh", example, "```", ""]
    lines += [f"{words['python']}{words['colon']}", "", "```python", python_of(example), "```", ""]
    definitions = algorithm.parameterDefinitions()
    inputs = [one for one in definitions if not one.isDestination()]
    if inputs:
        lines += [f"## {words['parameters']}", "", f"| {words['header']} |", "|---|---|---|---|---|"]
        for one in inputs:
            default = "" if one.defaultValue() is None else str(one.defaultValue())
            shown = (one.description(), value_of(one, words), default, one.help())
            lines.append(f"| `{one.name()}` | " + " | ".join(cell(text) for text in shown) + " |")
        lines.append("")
    outputs = [one for one in definitions if one.isDestination()]
    if outputs:
        lines += [f"## {words['outputs']}", "", f"| {words['out_header']} |", "|---|---|---|---|"]
        for one in outputs:
            shown3 = (one.description(), written_as(one, words), one.help())
            lines.append(f"| `{one.name()}` | " + " | ".join(cell(text) for text in shown3) + " |")
        lines.append("")
        if any(one.name() == "REPORT" for one in outputs):
            lines += [words["reports"].format(link="../reports.md"), ""]
    names = {one.name() for one in definitions}
    others = [one for one in algorithm.outputDefinitions() if one.name() not in names]
    if others:
        listed = "; ".join(f"`{one.name()}` ({cell(one.description())})" for one in others)
        lines += [f"{words['returned']}{words['colon']} {listed}.", ""]
    return "\n".join(lines).rstrip() + "\n"


def title_of(target: str) -> str:
    """The heading that a link of GUIDE leads to.

    Raises:
        SystemExit: if there is none.
    """
    name, _, wanted = target.partition("#")
    path, tool = ROOT / "docs" / name, markdown_html()
    headings = re.findall(r"^#+ +(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE) if path.exists() else []
    for heading in headings:
        if not wanted or tool.anchor(heading) == wanted:
            return re.sub(r"[`*]", "", heading)
    raise SystemExit(f"docs/{target} has no such heading: correct GUIDE in scripts/make_parameters_page.py")


def index(provider: object) -> str:
    """docs/parameters.md: the list of the pages."""
    lines = [
        "# Algorithms and their parameters",
        "",
        "A page for each, made from the code by `scripts/make_parameters_page.py`; QGIS's Help button opens it too.",
        "Every algorithm is called as `landloom:<id>` from `qgis_process`, models and Python.",
        "",
    ]
    algorithms = provider.algorithms()  # type: ignore[attr-defined]
    for group in sorted({one.group() for one in algorithms}):
        lines += [f"## {group}", "", "| id | name | what it does |", "|---|---|---|"]
        for one in algorithms:
            if one.group() == group:
                link = f"[`{one.name()}`](algorithms/{one.name()}.md)"
                lines.append(f"| {link} | {cell(one.displayName())} | {cell(one.shortDescription())} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def all_pages(provider: object) -> dict[str, str]:
    """Path relative to the root -> content, of every page that this script keeps; the provider is left in English."""
    package = sys.modules["landloom.model.base.language"]
    tool, made = markdown_html(), {}
    guide = tool.hand_written(ROOT)
    names = [one.name() for one in provider.algorithms()]  # type: ignore[attr-defined]
    try:
        for language in LANGUAGES:
            package.use_language(language)
            # New ones, whose labels are in the language that was just chosen.
            algorithms = [type(one)() for one in provider.algorithms()]  # type: ignore[attr-defined]
            help_of = {f"docs/algorithms/{name}.md": f"resources/help/{language}/{name}.html" for name in names}
            help_of["docs/parameters.md"] = f"resources/help/{language}/index.html"
            for one in algorithms:
                one.initAlgorithm()
                source, target = f"docs/algorithms/{one.name()}.md", help_of[f"docs/algorithms/{one.name()}.md"]
                text = algorithm_page(one, language)
                if language == "en":
                    made[source] = text
                made[target] = _as_html(tool, text, source, target, {**guide, **help_of}, language)
            listed = _Listed(algorithms)
            if language == "en":
                made["docs/parameters.md"] = index(listed)
            target = help_of["docs/parameters.md"]
            made[target] = _as_html(tool, index(listed), "docs/parameters.md", target, {**guide, **help_of}, language)
    finally:
        package.use_language("en")
    english = {f"docs/algorithms/{name}.md": f"resources/help/en/{name}.html" for name in names}
    english["docs/parameters.md"] = "resources/help/en/index.html"
    for target, text in tool.help_of(ROOT, {**english, **guide}).items():
        made[target] = text
    return made


class _Listed:
    """Algorithms, as a provider lists them."""

    def __init__(self, algorithms: list[QgsProcessingAlgorithm]) -> None:
        self._algorithms = algorithms

    def algorithms(self) -> list[QgsProcessingAlgorithm]:
        return self._algorithms


def _as_html(tool: ModuleType, text: str, source: str, target: str, pages: dict[str, str], language: str) -> str:
    return tool.page(text, lambda link: tool.leads_to(link, source, target, pages), language)


def load_provider() -> tuple[object, object, QgsApplication]:
    """Plugin, provider and application, all to be kept."""
    from loading import load_package  # beside this script

    application = QgsApplication([], False)
    application.initQgis()
    package = load_package()
    plugin = package.classFactory(None)
    plugin.initProcessing()
    return plugin, plugin.provider, application


def main() -> None:
    """Write the pages; those of algorithms that are gone are deleted."""
    plugin, provider, application = load_provider()
    made = all_pages(provider)
    for folder in ("docs/algorithms", "resources/help"):
        for path in (ROOT / folder).rglob("*.*"):
            if path.suffix in (".md", ".html") and path.relative_to(ROOT).as_posix() not in made:
                path.unlink()
    changed = []
    for name, text in made.items():
        path = ROOT / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            changed.append(name)
    print(f"{len(made)} pages, {len(changed)} changed: commit docs/algorithms, docs/parameters.md and resources/help")
    plugin.unload()  # type: ignore[attr-defined]
    application.exitQgis()


if __name__ == "__main__":
    main()
