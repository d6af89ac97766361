"""The plugin as a package named ``landloom``, whatever the clone is called, for the scripts beside this file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]


def load_package() -> ModuleType:
    """Make ``import landloom`` work and give the package."""
    if "landloom" in sys.modules:
        return sys.modules["landloom"]
    spec = importlib.util.spec_from_file_location(
        "landloom", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["landloom"] = package
    spec.loader.exec_module(package)
    return package
