"""Small XML files of products, read without anything that lies outside them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from osgeo import gdal

from ...base.errors import LandloomError
from ...base.raster import quiet_gdal

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
            raise LandloomError(f"Cannot read {path} ({error.strerror}); get it again.") from error
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
            raise LandloomError(f"Cannot read {path}; get it again.")
    if len(content) > limit:
        raise LandloomError(f"The file {path} is larger than {limit // 10**6} MB, no metadata of a product; remove it.")
    return content


def read_xml(path: str) -> ElementTree.Element:
    """The root element.

    Raises:
        LandloomError: if it is no XML, or has a document type, by which entities could name other files or grow without
            end.
    """
    content = read_bytes(path)
    # in UTF-16 and UTF-32 the words below would look otherwise: products are never written so
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content or b"\x00" in content:
        raise LandloomError(f"The metadata {path} hold a document type, which products never do; get them again.")
    try:
        return ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise LandloomError(f"The metadata {path} are no whole XML ({error}); get them again.") from error
    except (LookupError, ValueError) as error:  # an unknown encoding
        raise LandloomError(f"The metadata {path} cannot be read ({error}); get them again.") from error
