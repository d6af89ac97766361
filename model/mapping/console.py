"""The command ``landloom`` for clusters: no QGIS is needed."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from ..base.errors import LandloomError, MissingPackageError
from . import blocks, worker


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; an error is one sentence on standard error, and exit code 1."""
    parser = argparse.ArgumentParser(prog="landloom", description="Landloom on clusters; see docs/cluster.md.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("worker", help="start Dask workers on this machine, one a GPU")
    worker.add_arguments(one)
    one.set_defaults(run=worker.run)
    one = commands.add_parser("blocks", help="compute a map in array jobs of Slurm or PBS, without Dask")
    blocks.add_arguments(one)
    given = parser.parse_args(arguments)
    before = signal.signal(signal.SIGTERM, _interrupt)  # so that locks and children are let go
    try:
        return int(given.run(given) or 0)
    except MissingPackageError as error:
        print(f"landloom: {error} Run: pip install {error.package}", file=sys.stderr)
        return 1
    except LandloomError as error:
        print(f"landloom: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("landloom: stopped; the same command goes on from what is finished.", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
