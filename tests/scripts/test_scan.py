"""The zip passes the scans that block an upload to the plugin repository, and the scans find what they should."""

import importlib.util
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scanner():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        spec = importlib.util.spec_from_file_location("landloom_scan", ROOT / "scripts" / "scan_package.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    if module.missing():
        pytest.skip(f"not installed (scripts/setup test installs them): {', '.join(module.missing())}")
    return module


def test_the_zip_is_clean(scanner, tmp_path) -> None:
    package = scanner.build(tmp_path / "landloom.zip")
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert scanner.scan(tmp_path / "unpacked") == []
    assert scanner.unwanted_files(package) == []


def test_what_blocks_an_upload_is_found(scanner, tmp_path) -> None:
    key = "AKIA" + "ABCDEFGHIJKLMNOP"  # put together here, so that no scan of this file finds it
    (tmp_path / "code.py").write_text(
        "import pickle\nassert pickle.loads(b'')\nassert 1  # nosec\nassert 2  # nosec B101 # a reason\n"
        + f"AWS = '{key}'\n"
    )
    found = "\n".join(scanner.scan(tmp_path))
    for line in (
        "code.py:1: B403",
        "code.py:2: B101",
        "code.py:2: B301",
        "code.py:3: write '# nosec B000",
        "code.py:5: AWS",
    ):
        assert line in found
    assert "code.py:4" not in found
    package = tmp_path / "x.zip"
    with zipfile.ZipFile(package, "w") as archive:
        for name in (".hidden", "a.dll", "fine.py"):
            archive.writestr(name, "")
    assert len(scanner.unwanted_files(package)) == 2
