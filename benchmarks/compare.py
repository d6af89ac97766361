"""Networks and both forests on sets of sensors of point series: the product's own comparison, with its report.

    python benchmarks/compare.py --data canada2017.npz --group group_h3cell --networks tempcnn,ltae \
        --sensor-sets "S1;S2;S1+S2" --runs 3 --table h3cell.json --report h3cell.html

A run that was killed goes on from its finished trainings when it is started again in the same way.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import load_package, read_point_series

load_package()


def main(words: list[str] | None = None) -> int:
    """Compare and write; 1 with a sentence when something is wrong."""
    from landloom.model.accuracy.comparereport import compare_and_write
    from landloom.model.accuracy.comparesettings import CompareSettings, read_sensor_sets
    from landloom.model.base.errors import LandloomError
    from landloom.model.base.progress import PrintedProgress

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="point series (.npz)")
    parser.add_argument("--group", required=True, help="array of groups, such as group_location or group_h3cell")
    parser.add_argument("--networks", default="ltae", help="names, separated by commas; both forests always take part")
    parser.add_argument("--sensor-sets", default="", help="such as S1;S2;S1+S2")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=0, help="0 = the product's default")
    parser.add_argument("--learning-curve", action="store_true")
    parser.add_argument("--season-curve", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--table", required=True, help="where the figures go (.json)")
    parser.add_argument("--report", required=True, help="where the report goes (.html)")
    arguments = parser.parse_args(words)
    try:
        settings = CompareSettings(
            networks=tuple(name for name in arguments.networks.split(",") if name),
            sensor_sets=read_sensor_sets(arguments.sensor_sets),
            runs=arguments.runs,
            folds=arguments.folds,
            epochs=arguments.epochs,
            learning_curve=arguments.learning_curve,
            season_curve=arguments.season_curve,
            seed=arguments.seed,
            device=arguments.device,
        )
        store = read_point_series(arguments.data, arguments.group)
        compare_and_write([store], settings, arguments.table, arguments.report, progress=PrintedProgress())
    except LandloomError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
