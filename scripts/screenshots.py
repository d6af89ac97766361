"""Takes the pictures of the user guide from the real QGIS window: docs/guide/pictures/*.png.

Usage: screenshots.py [FOLDER]: FOLDER keeps the scene and the results (a temporary one by default). It does what
docs/guide/tutorial.md tells, in a QGIS with an empty profile on a screen of its own (Xvfb). It needs qgis, xvfb,
ImageMagick and chromium. PyTorch is not on the path, so that the packages dialog shows what a new user sees. Look at
the pictures before you commit them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from report_pictures import shoot

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "guide" / "pictures"
LARGEST = 250_000  # bytes of a picture
MINUTES = 45
_HIDDEN = ("PYTHONPATH", "QT_QPA_PLATFORM")
SETTINGS = """[PythonPlugins]
landloom=true
processing=true

[locale]
overrideFlag=true
userLocale=en_US

[qgis]
checkVersion=false
showTips=false
firstRun=false

[app]
projections\\unknownCrsBehavior=NoAction
"""


def profile(folder: Path) -> Path:
    """An empty profile with the plugin in it."""
    plugins = folder / "profiles" / "default" / "python" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "landloom").symlink_to(ROOT)
    settings = folder / "profiles" / "default" / "QGIS"
    settings.mkdir(parents=True)
    (settings / "QGIS3.ini").write_text(SETTINGS, encoding="utf-8")
    return folder


def small(path: Path) -> None:
    """Fewer colours until a picture is small enough.

    Raises:
        SystemExit: if it cannot be.
    """
    for colours in (256, 128, 64):
        subprocess.run(
            ["convert", str(path), "-strip", "-dither", "None", "-colors", str(colours), f"PNG8:{path}"], check=True
        )
        if path.stat().st_size <= LARGEST:
            return
    raise SystemExit(f"screenshots: {path.name} has {path.stat().st_size} bytes, more than {LARGEST}")


def main() -> None:
    """Run QGIS, then keep its pictures."""
    for program in ("qgis", "xvfb-run", "convert", "chromium"):
        if shutil.which(program) is None:
            raise SystemExit(f"screenshots: {program} is missing\n\n{__doc__}")
    with tempfile.TemporaryDirectory(prefix="landloom_") as temporary:
        work = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path(temporary) / "tutorial"
        work.mkdir(parents=True, exist_ok=True)
        taken = Path(temporary) / "pictures"
        taken.mkdir()
        environment = {name: text for name, text in os.environ.items() if name not in _HIDDEN}
        scratch = Path(temporary) / "scratch"
        scratch.mkdir()
        environment |= {
            # QGIS marks layers below its temporary folder, which is not where a user keeps them.
            "TMPDIR": str(scratch),
            "QGIS_CUSTOM_CONFIG_PATH": str(profile(Path(temporary) / "qgis")),
            "LANDLOOM_WORK": str(work),
            "LANDLOOM_PICTURES": str(taken),
            "LC_ALL": "C.UTF-8",
        }
        command = ["xvfb-run", "-a", "-s", "-screen 0 1920x1200x24", "qgis", "--nologo", "--noversioncheck", "--code"]
        subprocess.run(
            [*command, str(ROOT / "scripts" / "screenshots_window.py")],
            env=environment,
            timeout=MINUTES * 60,
            check=False,
        )
        said = taken / "done.txt"
        text = said.read_text(encoding="utf-8") if said.exists() else "QGIS ended before the tutorial did"
        if text != "ok":
            if (taken / "failed.png").exists():
                shutil.copyfile(taken / "failed.png", work / "failed.png")
            raise SystemExit(f"screenshots: {text}")
        shoot(work / "report.html", taken / "report.png", 1700)
        PICTURES.mkdir(parents=True, exist_ok=True)
        for picture in sorted(taken.glob("*.png")):
            small(picture)
            shutil.copyfile(picture, PICTURES / picture.name)
            print(PICTURES / picture.name, picture.stat().st_size)


if __name__ == "__main__":
    main()
