"""Whether a JPEG 2000 file is whole: GDAL opens one that a broken download cut, and fails hours later."""

from __future__ import annotations

import os

from osgeo import gdal

from ..base.raster import quiet_gdal


def is_cut(name: str, size: int) -> bool:
    """Whether a JPEG 2000 file ends within one of its boxes (ISO 15444-1, annex I), or its code stream has no end."""
    position = 0
    while position < size:
        header = _bytes(name, position, 16)
        if len(header) < 8:
            return True
        if header[:4] == b"\xff\x4f\xff\x51":  # a bare code stream
            return _bytes(name, size - 2, 2) != b"\xff\xd9"
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length == 0:  # up to the end of the file
            return kind == b"jp2c" and _bytes(name, size - 2, 2) != b"\xff\xd9"
        if length < 8:
            return True
        position += length
    return position > size


def _bytes(name: str, position: int, count: int) -> bytes:
    with quiet_gdal():
        try:
            handle = gdal.VSIFOpenL(name, "rb")
            if handle is None:
                return b""
            try:
                gdal.VSIFSeekL(handle, position, os.SEEK_SET)
                return bytes(gdal.VSIFReadL(1, count, handle) or b"")
            finally:
                gdal.VSIFCloseL(handle)
        except RuntimeError:  # when someone switched GDAL's exceptions on
            return b""
