"""Opening and writing rasters with GDAL: clear errors, local settings, files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
from osgeo import gdal, osr

from .errors import LandloomError
from .files import cannot_write, whole_file
from .language import tr

GeoTransform = tuple[float, float, float, float, float, float]

DTYPES = {
    "uint8": gdal.GDT_Byte,
    "int8": 14,  # GDT_Int8, only since GDAL 3.7
    "uint16": gdal.GDT_UInt16,
    "int16": gdal.GDT_Int16,
    "uint32": gdal.GDT_UInt32,
    "int32": gdal.GDT_Int32,
    "float32": gdal.GDT_Float32,
    "float64": gdal.GDT_Float64,
}

REMOTE_DRIVERS = ("GTiff", "JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID")
"""What may be read over HTTP: formats that hold pixels and cannot name other files."""

IMAGES = (".tif", ".tiff", ".jp2", ".j2k", ".img", ".png", ".jpg", ".jpeg", ".hdf", ".h5", ".nc")
"""Names of files that hold pixels themselves."""


@contextlib.contextmanager
def gdal_options(**options: str) -> Iterator[None]:
    """Set GDAL configuration options for this thread only, and put them back."""
    before = {key: gdal.GetThreadLocalConfigOption(key, None) for key in options}
    for key, value in options.items():
        gdal.SetThreadLocalConfigOption(key, value)
    try:
        yield
    finally:
        for key, value in before.items():
            gdal.SetThreadLocalConfigOption(key, value)


def gdal_handler(keep: Callable[[int, str], None]) -> Callable[..., None]:
    """A handler of GDAL's messages, also of those that are no UTF-8, since they quote what files hold.

    Such a message reaches Python as a call without arguments and with an error pending, which would come out of the
    next call of anything; another error that is caught takes it along.

    Args:
        keep: called with the level and the message.
    """

    def handle(level: int = gdal.CE_Warning, _code: int = 0, message: str | None = None) -> None:
        if message is None:
            try:
                raise ValueError
            except Exception:
                message = "what GDAL says is no text"
        keep(level, message)

    return handle


@contextlib.contextmanager
def quiet_gdal() -> Iterator[list[str]]:
    """Collect GDAL's messages of this thread in the yielded list instead of printing them."""
    messages: list[str] = []

    def collect(level: int, message: str) -> None:
        if level >= gdal.CE_Warning:
            messages.append(message)

    gdal.PushErrorHandler(gdal_handler(collect))
    try:
        yield messages
    finally:
        gdal.PopErrorHandler()


def is_remote(path: str) -> bool:
    """Whether GDAL reads a path over HTTP."""
    return path.startswith("/vsicurl")


def address_of(path: str) -> str:
    """The address in a path of GDAL's ``/vsicurl``; empty for a local one."""
    if not is_remote(path):
        return ""
    if path.startswith("/vsicurl/"):
        return path[len("/vsicurl/") :]
    return parse_qs(path.partition("?")[2]).get("url", [""])[0]


def shown(path: str) -> str:
    """How a path stands in messages: a remote one as its address without the query, which may hold a key."""
    address = address_of(path)
    return re.sub(r"[?#].*", "", address) if address else path


def open_raster(path: str | os.PathLike[str], update: bool = False) -> gdal.Dataset:
    """Open a raster.

    Raises:
        LandloomError: naming the file, if it is missing, empty, truncated in its header or not a raster.
    """
    name = os.fspath(path)
    if not name.startswith(("/vsi", "<")) and not os.path.exists(name):
        raise LandloomError(tr("The raster {name} does not exist; check the path.").format(name=name))
    if not is_remote(name) and _is_disguised(name):
        raise LandloomError(
            tr(
                "The raster {name} is not the image that its name promises, but a text that may name other "
                "files or addresses: get it again."
            ).format(name=name)
        )
    flags = gdal.OF_RASTER | (gdal.OF_UPDATE if update else gdal.OF_READONLY)
    with quiet_gdal() as messages:
        try:
            drivers = list(REMOTE_DRIVERS) if is_remote(name) else []
            dataset = gdal.OpenEx(name, flags, allowed_drivers=drivers)
        except RuntimeError as error:  # when someone switched GDAL's exceptions on
            messages.append(str(error))
            dataset = None
    messages = [message for message in messages if "not recognized" not in message]
    if is_remote(name) and any("IO error" in message for message in messages):
        dataset = None  # a header that came cut off would be taken for one with less in it
    if dataset is None or dataset.RasterCount == 0:
        if os.path.isdir(name):
            raise LandloomError(tr("{name} is a folder, not a raster: give the file.").format(name=name))
        empty = not name.startswith(("/vsi", "<")) and os.path.isfile(name) and os.path.getsize(name) == 0
        reason = tr("the file is empty") if empty else _last(messages or [tr("it is of no format that GDAL knows")])
        raise LandloomError(
            tr("Cannot open the raster {shown}: {reason}. Is it whole? Get it again.").format(
                shown=shown(name), reason=reason
            )
        )
    return dataset


def _is_disguised(name: str) -> bool:
    """Whether a file is named as an image but is a description (GDAL goes by the content), such as a VRT or a WMS."""
    if not name.lower().endswith(IMAGES):
        return False
    start = b""
    if name.startswith("/vsi"):
        with quiet_gdal(), contextlib.suppress(RuntimeError):
            handle = gdal.VSIFOpenL(name, "rb")
            if handle:
                start = bytes(gdal.VSIFReadL(1, 64, handle) or b"")
                gdal.VSIFCloseL(handle)
    else:
        with contextlib.suppress(OSError), open(name, "rb") as stream:
            start = stream.read(64)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    # Raw values may begin with the byte of "<" too (0.02 as a big-endian float does): a description is all text.
    return re.match(rb"<[A-Za-z?!]|\{\s*[\"}]", text) is not None and not re.search(rb"[\x00-\x08\x0e-\x1f]", text)


def read_array(
    dataset: gdal.Dataset, window: tuple[int, int, int, int] | None = None, bands: Sequence[int] | None = None
) -> np.ndarray:
    """Read ``[bands, H, W]`` of a window (column, row, width, height), by default the whole.

    Raises:
        LandloomError: naming the file, if it is truncated or damaged.
    """
    x, y, w, h = window or (0, 0, dataset.RasterXSize, dataset.RasterYSize)
    wanted = list(bands) if bands else list(range(1, dataset.RasterCount + 1))
    with quiet_gdal() as messages:
        try:
            array = dataset.ReadAsArray(x, y, w, h, band_list=wanted)
        except RuntimeError as error:
            messages.append(str(error))
            array = None
    if array is None:
        raise reading_failed(dataset.GetDescription(), messages)
    return array if array.ndim == 3 else array[None]


def reading_failed(name: str, messages: list[str]) -> LandloomError:
    """The error of a raster whose pixels cannot be read."""
    return LandloomError(
        tr("Cannot read the pixels of {shown}: {last}. It seems truncated or damaged; get it again.").format(
            shown=shown(name), last=_last(messages)
        )
    )


def write_raster(
    path: str | os.PathLike[str],
    array: np.ndarray,
    geotransform: Sequence[float],
    crs_wkt: str,
    nodata: float | None = None,
    names: Sequence[str] | None = None,
    creation: Sequence[str] = ("TILED=YES", "COMPRESS=DEFLATE"),
) -> Path:
    """Write ``[bands, H, W]`` or ``[H, W]`` as a GeoTIFF, whole or not at all.

    Args:
        path: the file to write; an older one is replaced.
        array: the values; bool becomes Byte, int64 becomes Int32.
        geotransform: GDAL's six numbers.
        crs_wkt: the CRS as WKT; empty text for none.
        nodata: declared no-data value.
        names: a description for each band.
        creation: creation options.

    Raises:
        LandloomError: if it cannot be written, for want of space or permission.
    """
    array = np.asarray(array)
    if array.ndim == 2:
        array = array[None]
    if array.dtype == bool:
        array = array.astype(np.uint8)
    elif array.dtype in (np.int64, np.uint64):
        array = array.astype(np.int32)
    kind = DTYPES[array.dtype.name]
    final = Path(path)
    with whole_file(final) as temporary, gdal_options(GDAL_PAM_ENABLED="NO"), quiet_gdal() as messages:
        try:
            dataset = gdal.GetDriverByName("GTiff").Create(
                str(temporary), array.shape[2], array.shape[1], array.shape[0], kind, options=list(creation)
            )
            if dataset is None:
                raise gdal_cannot_write(final, messages)
            dataset.SetGeoTransform(list(geotransform))
            if crs_wkt:
                dataset.SetProjection(crs_wkt)
            for index, values in enumerate(array, start=1):
                band = dataset.GetRasterBand(index)
                if nodata is not None:
                    band.SetNoDataValue(float(nodata))
                if names:
                    band.SetDescription(names[index - 1])
                if band.WriteArray(values) != 0:
                    raise gdal_cannot_write(final, messages)
            dataset.FlushCache()
            dataset = band = None
        except RuntimeError as error:
            messages.append(str(error))
        if any("rite" in message or "space" in message for message in messages):
            raise gdal_cannot_write(final, messages)
    return final


def gdal_cannot_write(path: str | os.PathLike[str], messages: list[str]) -> LandloomError:
    """The error of a file that GDAL cannot write, by what it said."""
    return LandloomError(cannot_write(path, _last(messages)))


def spatial_reference(crs: str) -> osr.SpatialReference:
    """A CRS from WKT, ``EPSG:32738`` or anything GDAL understands, with x = east and y = north.

    Raises:
        LandloomError: if it is not understood.
    """
    reference = osr.SpatialReference()
    with quiet_gdal():
        try:
            failed = reference.SetFromUserInput(crs) != 0
        except RuntimeError:
            failed = True
    if failed:
        raise LandloomError(tr("The CRS '{crs}' is not understood; give it as EPSG:32738 or WKT.").format(crs=crs[:80]))
    reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return reference


def _last(messages: list[str]) -> str:
    return re.sub(r"\?\S+=[^\s:]*", "", messages[-1]).strip().rstrip(".") if messages else tr("GDAL gives no reason")
