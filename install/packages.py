"""The Python packages Landloom uses, whether they are here, and how to get each."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class Package:
    """A package as it is imported, as pip names it, and what needs it.

    ``optional``: nothing is incomplete without it, and it is not installed unless somebody asks.
    """

    module: str
    distribution: str
    needed_for: str
    advice: str
    optional: bool = False


_TORCH_ADVICE = (
    "In the QGIS window choose Plugins > Landloom > Install packages; or run, for the Python of QGIS: pip install "
    "torch --index-url https://download.pytorch.org/whl/cpu "
    "(or without the index for an NVIDIA GPU). Until then NETWORK=randomforest works without it."
)
_QGIS_ADVICE = (
    "It comes with QGIS on Windows (OSGeo4W) and conda; on Debian and Ubuntu run: sudo apt-get install {debian}; "
    "elsewhere: pip install {pip}, with the numpy of QGIS kept (pip install --constraint)."
)
_CLUSTER_ADVICE = (
    "Install it for the Python of QGIS, in the version of the workers, with: pip install {pip}, with the numpy of QGIS "
    "kept (pip install --constraint). Without SCHEDULER nothing needs it."
)

PACKAGES = (
    Package("torch", "torch", "the networks ltae, twinns and tempcnn", _TORCH_ADVICE),
    Package(
        "sklearn",
        "scikit-learn",
        "training the random forest, and grouped folds",
        _QGIS_ADVICE.format(debian="python3-sklearn", pip="scikit-learn"),
    ),
    Package(
        "geopandas",
        "geopandas",
        "reading reference data",
        _QGIS_ADVICE.format(debian="python3-geopandas", pip="geopandas"),
    ),
    Package(
        "scipy",
        "scipy",
        "the sample scene and distances between groups",
        _QGIS_ADVICE.format(debian="python3-scipy", pip="scipy"),
    ),
    Package(
        "pystac_client",
        "pystac-client",
        "searching online catalogues (searchproducts)",
        "Install it for the Python of QGIS with: pip install pystac-client, with the numpy of QGIS kept (pip install "
        "--constraint). Until then download images and give their folder to preparestack.",
    ),
    Package(
        "distributed",
        "distributed",
        "computing on the workers of a Dask cluster (SCHEDULER)",
        _CLUSTER_ADVICE.format(pip="dask distributed"),
        optional=True,
    ),
    Package(
        "dask_jobqueue",
        "dask-jobqueue",
        "Dask workers started by Slurm or PBS (SCHEDULER slurm:... or pbs:...)",
        _CLUSTER_ADVICE.format(pip="dask-jobqueue"),
        optional=True,
    ),
    Package("numpy", "numpy", "everything", "It comes with QGIS: repair the QGIS installation."),
    Package("osgeo", "GDAL", "everything", "It comes with QGIS: repair the QGIS installation."),
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
            return package.advice
    return f"Install it for the Python of QGIS with: pip install {module}."
