"""Small XML files of products, read without anything that lies outside them."""

from __future__ import annotations

from pathlib import Path

from osgeo import gdal

from ...base.errors import LandloomError
from ...base.language import tr
from ...base.raster import quiet_gdal
from ...base.xmltext import Element, parse_xml

MAX_BYTES = 50_000_000


def read_bytes(path: str, limit: int = MAX_BYTES) -> bytes:
    """The content of a file, of an archive too.

    Raises:
        LandloomError: if it cannot be read or is larger than ``limit``.
    """
    content: bytes | None
    if not path.startswith("/vsi"):
        try:
            with Path(path).open("rb") as file:
                content = file.read(limit + 1)
        except OSError as error:
            raise LandloomError(
                tr("Cannot read {path} ({reason}); get it again.").format(path=path, reason=error.strerror)
            ) from error
    else:
        with quiet_gdal():
            try:
                handle = gdal.VSIFOpenL(path, "rb")
                content = bytes(gdal.VSIFReadL(1, limit + 1, handle) or b"") if handle else None
                if handle:
                    gdal.VSIFCloseL(handle)
            except RuntimeError:  # when someone switched GDAL's exceptions on
                content = None
        if content is None:
            raise LandloomError(tr("Cannot read {path}; get it again.").format(path=path))
    if len(content) > limit:
        raise LandloomError(
            tr("The file {path} is larger than {limit} MB, no metadata of a product; remove it.").format(
                path=path, limit=limit // 10**6
            )
        )
    return content


def read_xml(path: str) -> Element:
    """The root element.

    Raises:
        LandloomError: if it is no XML, or has a document type, by which entities could name other files or grow without
            end.
    """
    try:
        return parse_xml(read_bytes(path))
    except ValueError as error:
        raise LandloomError(
            tr("The metadata {path} cannot be read as XML: {error}. Get them again.").format(path=path, error=error)
        ) from error
