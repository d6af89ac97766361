"""Optional heavy packages, imported only where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

from .errors import MissingPackageError


def need(package: str, purpose: str) -> ModuleType:
    """Import a package that may be missing.

    Args:
        package: the name to import, such as ``torch`` or ``sklearn.ensemble``.
        purpose: what it is needed for; it opens the error sentence ("The network ltae").

    Raises:
        MissingPackageError: if it cannot be imported.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingPackageError(package.split(".", maxsplit=1)[0], purpose) from error
