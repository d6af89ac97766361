"""Small questions of the set-up script about Python packages, answered by their metadata (nothing is imported).

``held`` prints pip constraints that keep the system's numpy, scipy and the like; ``missing NAME[==VERSION] ...`` prints
those that are not installed in that version.
"""

import sys
from importlib.metadata import PackageNotFoundError, version

HELD = ("numpy", "scipy", "pandas", "geopandas", "shapely", "scikit-learn", "pyproj", "GDAL")


def installed(name: str) -> str:
    """Version of a distribution without its local part, or empty text."""
    try:
        return version(name).split("+")[0]
    except PackageNotFoundError:
        return ""


def main(arguments: list[str]) -> None:
    """Answer one question on standard output."""
    question, names = arguments[0], arguments[1:]
    if question == "held":
        print("\n".join(f"{name}=={installed(name)}" for name in HELD if installed(name)))
    else:
        wanted = [name.partition("==") for name in names]
        print("\n".join(n + e + v for n, e, v in wanted if not installed(n) or (v and installed(n) != v)))


if __name__ == "__main__":
    main(sys.argv[1:])
