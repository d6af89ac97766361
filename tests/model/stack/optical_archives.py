"""Writers of small optical products, named as their archives name them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from landloom.model.base.raster import spatial_reference, write_raster
from osgeo import gdal

TEN = ("B02", "B03", "B04", "B08")
TWENTY = ("B05", "B06", "B07", "B8A", "B11", "B12")
CORNER = (500000.0, 8000000.0)
SIDE = 24


def write_image(path, values, size, jp2=False, epsg=32738, nodata=None):
    """A raster of one band whose first pixel has its corner at CORNER."""
    crs = spatial_reference(f"EPSG:{epsg}").ExportToWkt()
    transform = (CORNER[0], size, 0.0, CORNER[1], 0.0, -size)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not jp2:
        return write_raster(path, values, transform, crs, nodata)
    temporary = write_raster(path.with_suffix(".tif"), values, transform, crs)
    source = gdal.Open(str(temporary))
    options = ["QUALITY=100", "REVERSIBLE=YES", "YCBCR420=NO"]
    gdal.GetDriverByName("JP2OpenJPEG").CreateCopy(str(path), source, options=options).FlushCache()
    del source
    temporary.unlink()
    Path(f"{path}.aux.xml").unlink(missing_ok=True)
    return path


def surface(band, seed=0, offset=0):
    """Reflectance of a band times 10,000 plus an offset, uint16: smooth, with one pixel of no data."""
    rng = np.random.default_rng([seed, sum(map(ord, band))])
    side = SIDE if band in TEN else SIDE // 2
    values = rng.integers(100, 4000, (side, side)) + offset
    values[0, -1] = 0
    return values.astype(np.uint16)


METADATA = """<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-2A_User_Product xmlns:n1="https://example.org/PSD">
  <n1:General_Info><Product_Info><PRODUCT_URI>{name}.SAFE</PRODUCT_URI>
    <PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE></Product_Info>
    <Product_Image_Characteristics>
      <QUANTIFICATION_VALUES_LIST><BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>
      </QUANTIFICATION_VALUES_LIST>{offsets}
    </Product_Image_Characteristics></n1:General_Info>
</n1:Level-2A_User_Product>
"""


def write_safe(
    folder,
    date="20190212",
    baseline="02.12",
    tile="T38KPE",
    made="20201007T160857",
    values=None,
    scl=None,
    metadata=None,
):
    """A product of Sen2Cor: ``values`` maps a band (B02) to its array, ``metadata`` is a real MTD_MSIL2A.xml."""
    name = f"S2A_MSIL2A_{date}T071211_N{baseline.replace('.', '')}_R020_{tile}_{made}"
    root = Path(folder) / f"{name}.SAFE"
    root.mkdir(parents=True)
    number = float(baseline)
    shift = 1000 if number >= 4 else 0
    if metadata:
        shutil.copy(metadata, root / "MTD_MSIL2A.xml")
    else:
        lines = [f'<BOA_ADD_OFFSET band_id="{k}">-1000</BOA_ADD_OFFSET>' for k in range(13)] if shift else []
        block = f"<BOA_ADD_OFFSET_VALUES_LIST>{''.join(lines)}</BOA_ADD_OFFSET_VALUES_LIST>" if lines else ""
        (root / "MTD_MSIL2A.xml").write_text(METADATA.format(name=name, baseline=baseline, offsets=block))
    images = root / "GRANULE" / f"L2A_{tile}_A019029_{date}T071210" / "IMG_DATA"
    for band in TEN + TWENTY:
        size = 10 if band in TEN else 20
        array = (values or {}).get(band, surface(band, offset=shift))
        write_image(images / f"R{size}m" / f"{tile}_{date}T071211_{band}_{size}m.jp2", array, size, jp2=True)
    classes = np.full((SIDE // 2, SIDE // 2), 4, np.uint8) if scl is None else np.asarray(scl, np.uint8)
    write_image(images / "R20m" / f"{tile}_{date}T071211_SCL_20m.jp2", classes, 20, jp2=True)
    write_image(images / "R60m" / f"{tile}_{date}T071211_B01_60m.jp2", np.ones((4, 4), np.uint16), 60, jp2=True)
    return root
