"""The main job on the sample scene, through qgis_process: products -> stack -> samples -> training -> map and report.

Leaves map.tif, confidence.tif, report.html and map.png in demo/.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "demo"


def run(algorithm: str, inputs: dict[str, object]) -> dict[str, object]:
    """Run an algorithm through qgis_process; its log goes to the terminal.

    Raises:
        SystemExit: with its exit code, if it fails.
    """
    start = time.monotonic()
    print(f"== landloom:{algorithm}", flush=True)
    done = subprocess.run(
        [str(ROOT / "scripts" / "qgis_process"), "--json", "run", f"landloom:{algorithm}", "-"],
        input=json.dumps({"inputs": inputs}),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stdout)
        raise SystemExit(done.returncode)
    answer = json.loads(done.stdout[done.stdout.index("{") :])
    for line in answer.get("log", {}).get("info", []) if isinstance(answer.get("log"), dict) else []:
        print(f"   {line}")
    print(f"   {time.monotonic() - start:.0f} s", flush=True)
    return answer["results"]


def main() -> None:
    """Make demo/ anew."""
    start = time.monotonic()
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir()
    scene = DEMO / "scene"
    run("samplescene", {"OUTPUT": str(scene)})
    results = run(
        "landcovermap",
        {
            "INPUT": str(scene),
            "REFERENCE": str(scene / "reference.gpkg"),
            "CLASS_FIELD": "class",
            "NOMENCLATURE": str(scene / "nomenclature.txt"),
            "NETWORK": "ltae",
            "PREVIEW": True,
            # One training instead of six: quick enough for a demonstration.
            "EVALUATION": "holdout",
            "WORK_FOLDER": str(DEMO / "work"),
            "OUTPUT": str(DEMO / "map.tif"),
            "CONFIDENCE": str(DEMO / "confidence.tif"),
            "MODEL": str(DEMO / "model.safetensors"),
            "REPORT": str(DEMO / "report.html"),
        },
    )
    subprocess.run([sys.executable, str(ROOT / "scripts" / "picture.py"), str(DEMO)], check=True)
    for score in ("OVERALL_ACCURACY", "KAPPA", "MACRO_F1"):
        print(f"{score}: {results[score]:.3f}")
    print(f"map, confidence, report and picture are in {DEMO} ({time.monotonic() - start:.0f} s)")


if __name__ == "__main__":
    main()
