"""Makes the reports on a small sample scene and takes their pictures: docs/pictures/report_<name>.png.

Usage: report_pictures.py FOLDER [NAME ...]: FOLDER keeps scene, samples, model and reports; NAMEs are of REPORTS, all
by default. It needs chromium. What is there already in FOLDER is not made again.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from demo import ROOT, run

PICTURES = ROOT / "docs" / "pictures"
WIDTH, HEIGHTS = 1120, (1500, 1100, 800)  # the largest that keeps the picture small
LARGEST = 200_000  # bytes
REPORTS = ("stack", "samples", "training", "overview", "check")


def inputs(folder: Path) -> dict[str, tuple[str, dict[str, object]]]:
    """Name of a report -> the algorithm that makes it, and its parameters, in the order of the work."""
    scene, stack = folder / "scene", str(folder / "stack.json")
    reference = {"REFERENCE": str(scene / "reference.gpkg"), "CLASS_FIELD": "class"}
    samples, land_cover = str(folder / "samples"), str(folder / "map.tif")
    named = {"NOMENCLATURE": str(scene / "nomenclature.txt")}
    return {
        "stack": ("preparestack", {"INPUT": str(scene), "OUTPUT": stack}),
        "check": ("check", {"STACK": stack, **reference, **named}),
        "samples": ("extractsamples", {"STACK": stack, **reference, **named, "OUTPUT": samples}),
        "training": (
            "train",
            {
                "SAMPLES": [samples],
                "NETWORK": "ltae",
                "EPOCHS": 15,
                "EVALUATION": "holdout",
                "OUTPUT": str(folder / "model.safetensors"),
            },
        ),
        "overview": (
            "landcovermap",
            {
                "STACK": stack,
                **reference,
                **named,
                "NETWORK": "randomforest",
                "EVALUATION": "holdout",
                "WORK_FOLDER": str(folder / "work"),
                "OUTPUT": land_cover,
            },
        ),
    }


def picture(page: Path, target: Path) -> None:
    """Take a picture of the top of a page, as high as the limit of its bytes allows.

    Raises:
        SystemExit: if none is small enough.
    """
    for height in HEIGHTS:
        shoot(page, target, height)
        if target.stat().st_size <= LARGEST:
            print(target, target.stat().st_size)
            return
    raise SystemExit(f"report_pictures: {target} has {target.stat().st_size} bytes, more than {LARGEST}")


def shoot(page: Path, target: Path, height: int) -> None:
    """Take a picture of the top of a page.

    Raises:
        SystemExit: if it cannot be taken.
    """
    with tempfile.TemporaryDirectory() as profile:
        shot = Path(profile) / "shot.png"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        options += ["--hide-scrollbars"]
        options += [f"--user-data-dir={profile}/profile", f"--window-size={WIDTH},{height}", f"--screenshot={shot}"]
        subprocess.run(["chromium", *options, page.as_uri()], check=True, capture_output=True, timeout=180)
        if not shot.exists():
            raise SystemExit(f"report_pictures: no picture of {page}")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shot, target)


def main() -> None:
    """Make what is missing, then the pictures asked for."""
    if len(sys.argv) < 2 or shutil.which("chromium") is None:
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1]).resolve()
    names = sys.argv[2:] or list(REPORTS)
    if not (folder / "scene").exists():
        folder.mkdir(parents=True, exist_ok=True)
        run("samplescene", {"SIZE": 150, "OUTPUT": str(folder / "scene")})
    for name, (algorithm, parameters) in inputs(folder).items():
        page = folder / f"{name}.html"
        needed = name in names or (name in ("stack", "samples") and not page.exists())
        if needed and not page.exists():
            run(algorithm, {**parameters, "REPORT": str(page)})
        if name in names:
            picture(page, PICTURES / f"report_{name}.png")


if __name__ == "__main__":
    main()
