"""Files that a run reads piece by piece, looked at again when it ends: what changed meanwhile would be a mixture."""

from __future__ import annotations

from typing import Any

from ..base.errors import ChangedError, LandloomError
from ..base.language import tr
from ..base.raster import is_remote
from .rasterinfo import size_and_time

NOTES = (".aux.xml", ".ovr", ".qml", ".msk.ovr")  # beside a raster: they may come while it is open in QGIS


class Unchanged:
    """The files of an open raster as they are now, those that a virtual raster lists included.

    Args:
        dataset: a raster of GDAL. Files behind addresses are not looked at.
    """

    def __init__(self, dataset: Any) -> None:
        self._seen: dict[str, tuple[int, float]] = {}
        for path in dataset.GetFileList() or ():
            if path.lower().endswith(NOTES) or is_remote(path):
                continue
            try:
                self._seen[path] = size_and_time(path)
            except LandloomError:  # a part of an archive, or a name that is no file
                continue

    def check(self) -> None:
        """Look again.

        Raises:
            ChangedError: naming a file that is gone or has another size or time.
        """
        for path, seen in self._seen.items():
            try:
                now = size_and_time(path)
            except LandloomError as error:
                raise ChangedError(
                    tr("{path} is gone since the run began: put it back and run again.").format(path=path)
                ) from error
            if now != seen:
                raise ChangedError(
                    tr("{path} has changed since the run began: nothing is written; run again.").format(path=path)
                )
