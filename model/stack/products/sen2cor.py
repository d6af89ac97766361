"""Sen2Cor Sentinel-2 L2A as ESA distributes it: ``S2A_MSIL2A_..._N0509_..._T31TCJ_....SAFE``, JPEG 2000.

Bands at 10 m lie in ``R10m``, the others in ``R20m``. ``MTD_MSIL2A.xml`` gives the quantification and, from baseline
04.00 on, an offset for each band (``BOA_ADD_OFFSET``): reflectance = (raw + offset) / quantification. 0 is no data,
before the offset. Classes of the scene classification (SCL) invalidate.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from ...base.errors import LandloomError
from ...base.language import tr
from .base import Choice, Folder, Found, Product, ProductForm, ProductMask
from .theia import BANDS
from .xmlfile import read_xml

METADATA = "MTD_MSIL2A.xml"
PROCESSOR = "Sen2Cor"
FIRST_WITH_OFFSET = 4.0  # baseline 04.00, from 2022-01-25 on
OWN_PROCESSING = 90.0  # baseline 99.99: made by the user with any version of Sen2Cor, with or without an offset
ADD_OFFSET = -1000.0
BAND_IDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")

_IMAGE = re.compile(
    r"(?:L2A_)?(?P<tile>T\d{2}[A-Z]{3})_(?P<date>\d{8})T(?P<time>\d{6})_(?P<layer>B\d{2}|B8A|SCL)_(?P<size>[12]0)m"
    r"\.(?:jp2|tiff?)",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"(?P<satellite>S2[A-Z])_MSIL2A_\d{8}T\d{6}_N(?P<baseline>\d{4})_R\d{3}_T\d{2}[A-Z]{3}_(?P<made>\d{8}T\d{6})",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Metadata:
    """What the values mean.

    Attributes:
        name: of the product, without ``.SAFE``.
        baseline: of the processing, as a number (5.09).
        quantification: by which raw values are divided.
        offsets: band -> what is added to raw values before that.
    """

    name: str
    baseline: float
    quantification: float = 10000.0
    offsets: dict[str, float] = field(default_factory=dict)


def read_metadata(path: str) -> Metadata:
    """Read ``MTD_MSIL2A.xml``.

    Raises:
        LandloomError: if it cannot be read, or gives no offset although its baseline has one.
    """
    root = read_xml(path)

    def text(tag: str) -> str:
        return (next(root.iter(tag)).text or "").strip() if next(root.iter(tag), None) is not None else ""

    try:
        baseline = float(text("PROCESSING_BASELINE"))
        quantification = float(text("BOA_QUANTIFICATION_VALUE") or text("QUANTIFICATION_VALUE") or 10000)
        offsets = {
            BAND_IDS[int(element.attrib["band_id"])]: float(element.text or "")
            for element in root.iter("BOA_ADD_OFFSET")
        }
    except (ValueError, KeyError, IndexError) as error:
        raise LandloomError(
            tr("The metadata {path} lack a baseline, quantification or offset; get them again.").format(path=path)
        ) from error
    if not 0 < quantification < 1e9:
        raise LandloomError(
            tr("The metadata {path} give the quantification {quantification:g}; get them again.").format(
                path=path, quantification=quantification
            )
        )
    if FIRST_WITH_OFFSET <= baseline < OWN_PROCESSING and not offsets:
        raise LandloomError(
            tr("The metadata {path} of baseline {baseline:.2f} give no BOA_ADD_OFFSET; get them again.").format(
                path=path, baseline=baseline
            )
        )
    name = text("PRODUCT_URI").removesuffix(".SAFE")
    return Metadata(name, baseline, quantification, offsets)


def safe_root(path: PurePath) -> PurePath | None:
    """The ``.SAFE`` folder, whatever it is called now, that holds a folder of images; None outside of one."""
    for folder in (path, *path.parents):
        if folder.name.upper() == "GRANULE":
            return folder.parent
        if folder.name.upper().endswith(".SAFE"):
            return folder
    return None


def find(folders: Sequence[Folder], choice: Choice) -> Found:
    """Products by what lies in their folders; what they are is read from their metadata."""
    images: dict[PurePath, dict[str, str]] = {}
    matches: dict[PurePath, re.Match[str]] = {}
    metadata: dict[PurePath, str] = {}
    for folder in folders:
        root = safe_root(folder.path)
        if root is None:
            continue
        for file in folder.files:
            match = _IMAGE.fullmatch(file)
            if match:
                matches[root] = match
                images.setdefault(root, {})[f"{match['layer']}_{match['size']}".upper()] = folder.at(file)
            elif file == METADATA and folder.path == root:
                metadata[root] = folder.at(file)
    products, left_out = [], []
    for root in sorted(images.keys() | metadata.keys()):
        name = root.name.removesuffix(".SAFE")
        if root not in metadata:
            left_out.append(
                (
                    name,
                    tr("it has no {metadata}, which gives the offset of its values; get it again").format(
                        metadata=METADATA
                    ),
                )
            )
        elif not any(layer.startswith("B") for layer in images.get(root, {})):
            left_out.append((name, tr("it has no band at 10 or 20 m")))
        else:
            try:
                facts = read_metadata(metadata[root])
            except LandloomError as error:
                left_out.append((name, str(error).rstrip(".")))
            else:
                match = matches[root]
                scene = (match["tile"].upper(), match["date"], match["time"])
                products.append(sen2cor_product(FORM.name, facts, scene, images[root], choice))
    return Found(tuple(products), tuple(left_out))


def sen2cor_product(
    form: str, facts: Metadata, scene: tuple[str, str, str], layers: dict[str, str], choice: Choice, remark: str = ""
) -> Product:
    """A product of Sen2Cor's values.

    Args:
        form: its name.
        facts: what the values mean.
        scene: tile, date (eight digits) and time (six digits) of its sensing.
        layers: such as ``B02_10``, ``B11_20`` and ``SCL_20`` -> file; 10 m is preferred.
        choice: the user's.
        remark: see :class:`.base.Product`.
    """
    bands: dict[str, tuple[str, int]] = {}
    for band in BANDS:
        layer = f"B{band[1:].zfill(2)}"
        path = layers.get(f"{layer}_10") or layers.get(f"{layer}_20")
        if path:
            bands[band] = (path, 1)
    classes = layers.get("SCL_20") or layers.get("SCL_10")
    scale = 1 / facts.quantification
    offsets = {band: facts.offsets.get(band, 0.0) * scale for band in bands}
    common = Counter(offsets.values()).most_common(1)[0][0]
    (tile, date, time), named = scene, _NAME.match(facts.name)
    made = int(named["made"].replace("T", "")) if named else 0
    return Product(
        facts.name,
        form,
        "S2",
        "optical",
        f"{date[:4]}-{date[4:6]}-{date[6:]}",
        bands,
        (ProductMask(classes, invalid_values=choice.scl_invalid, buffered=True),) if classes else (),
        nodata=0.0,
        scale=scale,
        offset=common,
        tile=tile,
        rank=(len(bands), facts.baseline, made),
        same=f"{tile}_{date}T{time}",
        processor=PROCESSOR,
        offsets={band: value for band, value in offsets.items() if value != common},
        guarded=common < 0 and not remark,
        remark=remark,
    )


FORM = ProductForm(
    "Sen2Cor S2 L2A", "S2A_MSIL2A_..._N0509_R051_T31TCJ_....SAFE/.../T31TCJ_..._B02_10m.jp2", find, BANDS
)
