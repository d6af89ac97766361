"""Writes docs/parameters.md from the algorithms themselves, so that it never goes stale; a test compares it.

Run it as ``.venv/bin/python scripts/make_parameters_page.py``.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from qgis.core import QgsApplication, QgsProcessingAlgorithm, QgsProcessingParameterDefinition

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "parameters.md"
HEAD = """# Algorithms and their parameters

Made from the code by `scripts/make_parameters_page.py`. In brackets: optional. Every algorithm is called as
`landloom:<id>` from `qgis_process`, models and Python.
"""


def cell(text: str) -> str:
    """Text that stays in one cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def section(algorithm: QgsProcessingAlgorithm) -> str:
    """One algorithm: what it does, its parameters, its outputs, an example."""
    lines = [f"## {algorithm.name()}", "", f"{algorithm.group()}. {algorithm.shortDescription()}", ""]
    lines += ["| parameter | what it is | default | help |", "|---|---|---|---|"]
    for one in algorithm.parameterDefinitions():
        optional = one.flags() & QgsProcessingParameterDefinition.Flag.FlagOptional
        name = f"[{one.name()}]" if optional else one.name()
        options = f" ({', '.join(one.options())})" if hasattr(one, "options") and one.type() == "enum" else ""
        default = "" if one.defaultValue() is None or one.isDestination() else str(one.defaultValue())
        lines.append(f"| `{name}` | {cell(one.description() + options)} | {cell(default)} | {cell(one.help())} |")
    inputs = {one.name() for one in algorithm.parameterDefinitions()}
    others = [one for one in algorithm.outputDefinitions() if one.name() not in inputs]
    if others:
        lines += [
            "",
            "Also returned: " + "; ".join(f"`{one.name()}` ({cell(one.description())})" for one in others) + ".",
        ]
    example = getattr(algorithm, "EXAMPLE", "")
    if example:
        lines += ["", "```sh", example, "```"]
    return "\n".join(lines) + "\n"


def page(provider: object) -> str:
    """The whole page."""
    return HEAD + "\n" + "\n".join(section(algorithm) for algorithm in provider.algorithms())  # type: ignore[attr-defined]


def main() -> None:
    """Write the page."""
    application = QgsApplication([], False)
    application.initQgis()
    spec = importlib.util.spec_from_file_location(
        "landloom", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    package = importlib.util.module_from_spec(spec)
    sys.modules["landloom"] = package
    spec.loader.exec_module(package)
    plugin = package.classFactory(None)
    plugin.initProcessing()
    PAGE.write_text(page(plugin.provider), encoding="utf-8")
    print(PAGE)
    plugin.unload()
    application.exitQgis()


if __name__ == "__main__":
    main()
