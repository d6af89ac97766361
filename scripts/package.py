"""Build the zip of the plugin repository: ``build/landloom.<version>.zip``, by a list of what goes in.

The rules are those that the repository checks at an upload: one top folder that is a Python identifier, metadata.txt,
__init__.py and LICENSE in it, nothing compiled or hidden, at most 25,000,000 bytes. The same tree gives the same bytes.
"""

from __future__ import annotations

import configparser
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from markdown_html import help_of

ROOT = Path(__file__).resolve().parents[1]
NAME = "landloom"
LIMIT = 25_000_000  # bytes
FILES = ("metadata.txt", "__init__.py", "plugin.py", "LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml")
FOLDERS = {  # folder -> suffixes that go in
    "algorithms": (".py",),
    "gui": (".py", ".ui"),
    "install": (".py",),
    "model": (".py", ".json"),
    "resources": (".svg", ".png", ".qml", ".model3", ".html", ".mo", ".json"),
    "docs": (".md", ".png", ".svg"),
}
_TIME = (2020, 1, 1, 0, 0, 0)  # of every entry, so that equal trees give equal zips
_REQUIRED = (
    "name",
    "description",
    "about",
    "version",
    "qgisMinimumVersion",
    "author",
    "email",
    "tracker",
    "repository",
)


def metadata() -> dict[str, str]:
    """What metadata.txt says.

    Raises:
        SystemExit: if the repository would refuse it.
    """
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(ROOT / "metadata.txt", encoding="utf-8")
    found = dict(parser["general"])
    lacking = [key for key in _REQUIRED if not found.get(key, "").strip()]
    if lacking:
        sys.exit(f"metadata.txt lacks {', '.join(lacking)}: fill them in.")
    return found


def contents() -> Iterator[Path]:
    """Files that go into the zip, relative to the root, in a fixed order."""
    for name in FILES:
        yield Path(name)
    for folder, suffixes in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*")):
            relative = path.relative_to(ROOT)
            hidden = any(part.startswith((".", "__pycache__")) for part in relative.parts)
            if path.is_file() and not hidden and path.suffix in suffixes:
                yield relative


def build(target: Path | None = None) -> Path:
    """Write the zip.

    Args:
        target: where; by default ``build/landloom.<version>.zip``.

    Raises:
        SystemExit: if a file that must be in it is missing or the zip is too large.
    """
    version = metadata()["version"]
    target = target or ROOT / "build" / f"{NAME}.{version}.zip"
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".part")
    fresh = help_of(ROOT)  # those in the folder may be older than the docs
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for relative in contents():
            source = ROOT / relative
            if not source.exists():
                sys.exit(f"{relative} is missing: the zip needs it.")
            name = relative.as_posix()
            entry = zipfile.ZipInfo(f"{NAME}/{name}", _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, fresh[name].encode() if name in fresh else source.read_bytes())
    size = temporary.stat().st_size
    if size > LIMIT:
        temporary.unlink()
        sys.exit(f"The zip has {size} bytes, more than the {LIMIT} that the plugin repository takes: leave files out.")
    temporary.replace(target)
    return target


if __name__ == "__main__":
    print(build(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
