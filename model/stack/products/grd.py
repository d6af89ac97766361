"""Raw Sentinel-1 scenes as ESA delivers them: recognised only to say what to do with them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...base.language import tr
from .base import Choice, Folder, Found, ProductForm
from .sentinel1 import SCENE

_RAW = re.compile(SCENE.pattern + r"(?:_COG)?(?:\.SAFE)?(?:\.zip)?", re.IGNORECASE)


def find(folders: Sequence[Folder], choice: Choice) -> Found:
    """No product, but a sentence for every scene."""
    raw: dict[str, str] = {}
    for folder in folders:
        names = [part for part in folder.path.parts if part.upper().endswith((".SAFE", ".SAFE.ZIP"))]
        names += [name for name in folder.files if name.lower().endswith(".zip")]
        for name in names:
            match = _RAW.fullmatch(name)
            if match:
                level = match["level"][:3].upper()
                raw[SCENE.match(name)[0]] = (  # type: ignore[index]
                    tr(
                        "a raw Sentinel-1 {level} scene, neither calibrated nor terrain-corrected; process "
                        "it with S1Tiling, SNAP or ASF HyP3 (on demand), or get it ready from the "
                        "Planetary Computer or OPERA"
                    ).format(level=level)
                )
    return Found((), tuple(sorted(raw.items())))


FORM = ProductForm("Sentinel-1 GRD (to be processed first)", "S1A_IW_GRDH_1SDV_....SAFE", find)
