"""The Python packages Landloom uses, whether they are here, and how to get each."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field

from .language import mark, tr


@dataclass(frozen=True)
class Package:
    """A package as it is imported, as pip names it, and what needs it.

    ``names`` are filled into ``advice``. ``needed_for`` and ``advice`` are translated where they are shown.
    ``optional``: nothing is incomplete without it, and it is not installed unless somebody asks.
    """

    module: str
    distribution: str
    needed_for: str
    advice: str
    names: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False


_TORCH_ADVICE = mark(
    "In the QGIS window choose Plugins > Landloom > Install packages; or run, for the Python of QGIS: pip "
    "install torch --index-url https://download.pytorch.org/whl/cpu (or without the index for an NVIDIA GPU). "
    "Until then NETWORK=randomforest works without it."
)
_QGIS_ADVICE = mark(
    "It comes with QGIS on Windows (OSGeo4W) and conda; on Debian and Ubuntu run: sudo apt-get install "
    "{debian}; elsewhere: pip install {pip}, with the numpy of QGIS kept (pip install --constraint)."
)
_CLUSTER_ADVICE = mark(
    "Install it for the Python of QGIS, in the version of the workers, with: pip install {pip}, with the numpy "
    "of QGIS kept (pip install --constraint). Without SCHEDULER nothing needs it."
)

PACKAGES = (
    Package("torch", "torch", mark("the networks ltae, twinns and tempcnn"), _TORCH_ADVICE),
    Package(
        "sklearn",
        "scikit-learn",
        mark("training the random forest, and grouped folds"),
        _QGIS_ADVICE,
        {"debian": "python3-sklearn", "pip": "scikit-learn"},
    ),
    Package(
        "geopandas",
        "geopandas",
        mark("reading reference data"),
        _QGIS_ADVICE,
        {"debian": "python3-geopandas", "pip": "geopandas"},
    ),
    Package(
        "scipy",
        "scipy",
        mark("the sample scene and distances between groups"),
        _QGIS_ADVICE,
        {"debian": "python3-scipy", "pip": "scipy"},
    ),
    Package(
        "pystac_client",
        "pystac-client",
        mark("searching online catalogues (searchproducts)"),
        mark(
            "Install it for the Python of QGIS with: pip install pystac-client, with the numpy of QGIS kept "
            "(pip install --constraint). Until then download images and give their folder to preparestack."
        ),
    ),
    Package(
        "distributed",
        "distributed",
        mark("computing on the workers of a Dask cluster (SCHEDULER)"),
        _CLUSTER_ADVICE,
        {"pip": "dask distributed"},
        optional=True,
    ),
    Package(
        "dask_jobqueue",
        "dask-jobqueue",
        mark("Dask workers started by Slurm or PBS (SCHEDULER slurm:... or pbs:...)"),
        _CLUSTER_ADVICE,
        {"pip": "dask-jobqueue"},
        optional=True,
    ),
    Package("numpy", "numpy", mark("everything"), mark("It comes with QGIS: repair the QGIS installation.")),
    Package("osgeo", "GDAL", mark("everything"), mark("It comes with QGIS: repair the QGIS installation.")),
)


def package_state(module: str) -> str | None:
    """Version of an installed package, "unknown version", or None where it is missing; nothing is imported."""
    try:
        if importlib.util.find_spec(module) is None:
            return None
    except (ImportError, ValueError):
        return None
    for package in PACKAGES:
        if package.module == module:
            try:
                return importlib.metadata.version(package.distribution)
            except importlib.metadata.PackageNotFoundError:
                return "unknown version"
    return "unknown version"


def how_to_get(module: str) -> str:
    """One sentence that tells how to install a missing package."""
    for package in PACKAGES:
        if package.module == module:
            return tr(package.advice).format(**package.names)
    return tr("Install it for the Python of QGIS with: pip install {module}.").format(module=module)
