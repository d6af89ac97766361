"""How well ``coregister`` finds shifts that are known: those drawn for each date of the sample scene.

    benchmarks/coregister.py [--size 300] [--seed 3]

Prints, for two sizes of windows, how many dates could be measured (windows enough, and agreeing), and the error of
their shifts: the larger of dx and dy, in pixels. About two minutes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import scipy.ndimage

from common import load_package  # isort: skip


def main() -> None:
    """Simulate, measure and print."""
    load_package()
    from landloom.model.base.progress import Progress
    from landloom.model.scene.simulation import simulate
    from landloom.model.stack.coregister import coregister
    from landloom.model.stack.coregisterreference import CoregisterSettings
    from landloom.model.stack.prepare import PrepareSettings, prepare_stack

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=300, help="pixels along the edge of the scene")
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene"
        with mock.patch.object(scipy.ndimage, "shift", wraps=scipy.ndimage.shift) as shift:
            simulate(scene, given.size, "tropical", given.seed, Progress())
        drawn = list(dict.fromkeys(tuple(call.args[1]) for call in shift.call_args_list))  # one a date, rows first
        stack = Path(folder) / "stack.json"
        prepare_stack(scene, stack, PrepareSettings(sensors=("S2",)), None, Progress(), lambda prepared: None)
        for window in (64, 128):
            chosen = CoregisterSettings(("S2",), window=window)
            _, rows = coregister(stack, Path(folder) / "aligned.json", chosen, Progress())
            assert len(rows) == len(drawn)
            known = [(row.measured, true) for row, true in zip(rows, drawn, strict=True) if row.measured.is_known]
            errors = [max(abs(one.dx + true[1]), abs(one.dy + true[0])) for one, true in known]
            result = {
                "window": window,
                "dates": len(rows),
                "measured": len(known),
                "median_error": round(float(np.median(errors)), 3),
                "largest_error": round(max(errors), 3),
            }
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
