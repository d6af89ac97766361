"""Scans the zip of the plugin repository as the repository does at an upload, and fails where it would block it.

All rules of bandit count, at any severity, and all detectors of detect-secrets, on what the zip holds; besides, the
rules about files: nothing hidden, executable, compiled or made for a shell. A line is let through by
``# nosec B000 # reason`` only.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from package import build

TOOLS = ("bandit", "detect_secrets")
_UNWANTED = (".exe", ".dll", ".so", ".dylib", ".bat", ".sh", ".ps1", ".cmd", ".pyc", ".pyo")
_ALLOWED = re.compile(r"# nosec( B\d{3},?)+ # \S.*")


def missing() -> list[str]:
    """The tools that are not installed."""
    return [name for name in TOOLS if find_spec(name) is None]


def scan(folder: Path) -> list[str]:
    """Findings in an unpacked zip, each a line with its place; needs the :data:`TOOLS`."""
    return [*_bandit(folder), *_secrets(folder), *_exceptions(folder)]


def _run(folder: Path, *arguments: str) -> dict:
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    try:
        return json.loads(done.stdout)
    except ValueError:
        sys.exit(f"{' '.join(command)} failed: {done.stderr[-2000:]}")


def _bandit(folder: Path) -> list[str]:
    found = _run(folder, "bandit", "-r", ".", "-f", "json", "--quiet")
    broken = [f"{one['filename']}: bandit cannot read it: {one['reason']}" for one in found["errors"]]
    return broken + [
        f"{one['filename']}:{one['line_number']}: {one['test_id']} {one['issue_text'].splitlines()[0]}"
        for one in found["results"]
    ]


def _secrets(folder: Path) -> list[str]:
    # metadata.txt may hold the hash of a commit, which the repository leaves out too
    found = _run(folder, "detect_secrets", "scan", "--all-files", "--exclude-files", r"metadata\.txt", ".")
    return [f"{name}:{one['line_number']}: {one['type']}" for name, all_ in found["results"].items() for one in all_]


def _exceptions(folder: Path) -> list[str]:
    """Lines that are let through without their rule and reason."""
    wrong = []
    for path in sorted(folder.rglob("*.py")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if "# nosec" in line and not _ALLOWED.search(line):
                wrong.append(
                    f"{path.relative_to(folder)}:{number}: write '# nosec B000 # reason', with the rule's number"
                )
    return wrong


def unwanted_files(package: Path) -> list[str]:
    """Files that the repository would call suspicious: hidden, executable, compiled."""
    with zipfile.ZipFile(package) as archive:
        return [
            f"{one.filename}: hidden, executable or compiled"
            for one in archive.infolist()
            if Path(one.filename).name.startswith(".")
            or one.filename.lower().endswith(_UNWANTED)
            or one.external_attr >> 16 & 0o111
        ]


def main() -> None:
    """Build the zip, scan it, list what is found."""
    if missing():
        sys.exit(f"{' and '.join(missing())} missing: run scripts/setup test first.")
    with tempfile.TemporaryDirectory() as temporary:
        package = build(Path(temporary) / "landloom.zip")
        with zipfile.ZipFile(package) as archive:
            archive.extractall(Path(temporary) / "unpacked")
        found = scan(Path(temporary) / "unpacked") + unwanted_files(package)
    print("\n".join(found) or "The zip is clean: bandit, detect-secrets, kinds of files.")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
