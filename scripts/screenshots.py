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


def small(path: Path, target: Path) -> None:
    """Write a picture with fewer colours, or smaller, until its file is small enough.

    Raises:
        SystemExit: if it cannot be.
    """
    for size, colours in (("100%", 256), ("100%", 64), ("75%", 128), ("60%", 64)):
        options = ["-strip", "-resize", size, "-dither", "None", "-colors", str(colours)]
        subprocess.run(["convert", str(path), *options, f"PNG8:{target}"], check=True)
        if target.stat().st_size <= LARGEST:
            return
    raise SystemExit(f"screenshots: {target.name} has {target.stat().st_size} bytes, more than {LARGEST}")


def run_window(temporary: Path, work: Path, size: int = 360) -> Path:
    """Do the tutorial in a QGIS window.

    Args:
        temporary: an empty folder for profile and pictures.
        work: where scene and results go.
        size: of the sample scene, pixels.

    Returns:
        the folder of the pictures.

    Raises:
        SystemExit: with what went wrong in the window; ``failed.png`` in the work folder shows it then.
    """
    work.mkdir(parents=True, exist_ok=True)
    taken, scratch = temporary / "pictures", temporary / "scratch"
    taken.mkdir()
    scratch.mkdir()
    environment = {name: text for name, text in os.environ.items() if name not in _HIDDEN}
    environment |= {
        "TMPDIR": str(scratch),  # QGIS marks layers below its temporary folder, where no user keeps them
        "QGIS_CUSTOM_CONFIG_PATH": str(profile(temporary / "qgis")),
        "LANDLOOM_WORK": str(work),
        "LANDLOOM_PICTURES": str(taken),
        "LANDLOOM_SIZE": str(size),
        "LC_ALL": "C.UTF-8",
    }
    command = ["xvfb-run", "-a", "-s", "-screen 0 1920x1200x24", "qgis", "--nologo", "--noversioncheck", "--code"]
    # QGIS puts the name between quotation marks into a line of Python: it must not lie in a folder with an apostrophe.
    script = shutil.copy(ROOT / "scripts" / "screenshots_window.py", temporary)
    subprocess.run([*command, str(script)], env=environment, timeout=MINUTES * 60, check=False)
    said = taken / "done.txt"
    text = said.read_text(encoding="utf-8") if said.exists() else "QGIS ended before the tutorial did"
    if text != "ok":
        if (taken / "failed.png").exists():
            shutil.copyfile(taken / "failed.png", work / "failed.png")
        raise SystemExit(f"screenshots: {text}")
    return taken


def main() -> None:
    """Run QGIS, then keep its pictures."""
    for program in ("qgis", "xvfb-run", "convert", "chromium"):
        if shutil.which(program) is None:
            raise SystemExit(f"screenshots: {program} is missing\n\n{__doc__}")
    with tempfile.TemporaryDirectory(prefix="landloom_") as temporary:
        work = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path(temporary) / "tutorial"
        taken = run_window(Path(temporary), work)
        from report_pictures import shoot

        shoot(work / "report.html", taken / "report.png", 1700)
        PICTURES.mkdir(parents=True, exist_ok=True)
        for picture in sorted(taken.glob("*.png")):
            target = PICTURES / picture.name
            small(picture, target)
            print(target, target.stat().st_size)


if __name__ == "__main__":
    main()
