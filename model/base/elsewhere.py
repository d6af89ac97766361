"""Computing the numbered pieces of a run outside this process: what a run asks of whoever does it.

A run writes an *order* into its folder of parts: the paths and settings from which any process can open the same
inputs. A piece is known by its number; whoever computes it leaves a file, its part, in that folder. So nothing but
paths and numbers travels, and a piece may be computed twice without harm.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from .errors import LandloomError
from .files import parse_json, write_json
from .language import tr
from .progress import Progress

ORDER = "order.json"
FORMAT = "landloom-order"
VERSION = 1


class Elsewhere(Protocol):
    """Processes that compute pieces of a run."""

    def device(self, asked: str, network: bool) -> str:
        """Where pieces are computed: ``cpu``, ``cuda`` or ``mps``, the same for all processes.

        Args:
            asked: DEVICE as the user gave it.
            network: whether a network is computed, which needs torch there.

        Raises:
            LandloomError: if the processes cannot do it, or differ.
        """

    def path(self, path: str) -> str:
        """A path of this machine as those processes see it."""

    def compute(self, order: Path, pieces: Mapping[int, int], part: Callable[[int], Path], progress: Progress) -> None:
        """Return when every piece has its part.

        Args:
            order: the file of the order, in the folder of parts.
            pieces: number -> size, by which progress counts, in the order in which they are best done.
            part: the file that is there when a piece is done.
            progress: shown from 0 to 100 percent, and asked whether to stop.

        Raises:
            Cancelled: if the user asked to stop; pieces under way end by themselves.
            Planned: if they will be computed later.
            LandloomError: if a piece cannot be computed.
        """


class Planned(Exception):
    """The order is written, and its pieces are computed another time; the folder of parts stays.

    Args:
        pieces: numbers of those that have no part yet.
    """

    def __init__(self, pieces: Iterable[int] = ()) -> None:
        super().__init__("planned")
        self.pieces = list(pieces)


def write_order(folder: Path, run: str, algorithm: str, arguments: Mapping[str, Any], **more: Any) -> Path:
    """Write the order of a run.

    Args:
        folder: of parts.
        run: a hash of everything that decides the result.
        algorithm: its id.
        arguments: of the function that opens the inputs; paths as the other processes see them.
        more: what that algorithm's pieces need besides.
    """
    path = folder / ORDER
    content = {"format": FORMAT, "version": VERSION, "run": run, "algorithm": algorithm, "arguments": dict(arguments)}
    write_json(path, {**content, **more})
    return path


def read_order(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of an order.

    Raises:
        LandloomError: if it is gone, which happens when its run has ended, or is none.
    """
    try:
        content = parse_json(Path(path).read_bytes())
    except OSError as error:
        raise LandloomError(
            tr(
                "The order {path} cannot be read ({reason}): the run has ended, or this machine does not see "
                "the folder of the output; use a shared one, and PATH_MAP where it has another name here."
            ).format(path=path, reason=error.strerror or error)
        ) from error
    except ValueError:
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("version") != VERSION:
        raise LandloomError(
            tr("{path} is not the order of a run of this version of Landloom: start the run again.").format(path=path)
        )
    return content
