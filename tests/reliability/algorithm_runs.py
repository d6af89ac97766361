"""Every algorithm that writes files, with small inputs, and what the folder of its outputs holds."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
from faulty_runs import LEFT, Run, Zygote
from osgeo import gdal, ogr

QUICK = ["mosaic", "vectorise"]
SLOW = [
    "regularise", "fuse", "difference", "vectorise-shp", "areas", "sampledesign", "coregister", "coregister-image",
    "addrasters", "composite", "nomenclature", "check", "segment", "objectfeatures", "trainobjects",
    "trainobjects-pixelset", "classifyobjects", "train", "descriptors", "suggestlabels", "assess", "compare",
    "landcovermap", "samplescene",
]  # fmt: skip
KEPT = ("work",)  # what landcovermap goes on from; its outputs are compared
CHANGING = {
    "provenance",
    "created",
    "time",
    "seconds",
    "times",
    "duration",
    "mtime",
    "machine",
    "cost",
    "started",
    "fact",
    "minutes",
    "microseconds",
    "hours",
}
"""Keys of JSON that tell when, where and how fast."""


def _raster(path: Path) -> object:
    dataset = gdal.Open(str(path))
    values = dataset.ReadAsArray()
    assert values is not None, path
    band = dataset.GetRasterBand(1)
    band.GetDescription()  # GDAL 3.6 gives the names of classes only after something else was asked for
    names, nodata = band.GetCategoryNames(), str(band.GetNoDataValue())  # NaN is not equal to itself
    tags = {key: value for key, value in dataset.GetMetadata().items() if not key.startswith("TIFFTAG")}
    pixels = hashlib.sha256(values.tobytes()).hexdigest()
    return pixels, values.shape, names, nodata, sorted(tags), dataset.GetGeoTransform()


def _layer(path: Path) -> object:
    source = ogr.Open(str(path))
    found = {}
    for layer in source:
        if layer.GetName() not in ("layer_styles",):  # which tell the time
            found[layer.GetName()] = sorted(feature.ExportToJson() for feature in layer)
            assert layer.GetFeatureCount() == len(found[layer.GetName()])
    return found


def _without_times(content: object) -> object:
    if isinstance(content, dict):
        return {key: _without_times(value) for key, value in content.items() if not CHANGING & set(key.split("_"))}
    return [_without_times(one) for one in content] if isinstance(content, list) else content


def _tensors(path: Path) -> object:
    from landloom.model.networks.tensorfile import read_tensors

    tensors, header = read_tensors(path)
    found = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in tensors.items()}
    return found, _without_times(header)


def _part(path: Path) -> object:
    """What a file holds; fails where it is cut short."""
    kind = path.suffix.lower()
    if kind in (".tif", ".vrt"):
        return _raster(path)
    if kind == ".gpkg":
        return _layer(path)
    if kind == ".safetensors":
        return _tensors(path)
    if kind == ".json":
        return _without_times(json.loads(path.read_text("utf-8")))
    if kind in (".html", ".qml", ".xml", ".svg"):
        text = path.read_text("utf-8").rstrip()
        assert text.endswith(">") and (kind != ".html" or text.endswith("</html>")), path
        return kind
    if kind == ".csv":
        text = path.read_text("utf-8")
        assert text.endswith("\n"), path
        return list(csv.reader(text.splitlines()))[:1]
    if kind == ".npy":
        return hashlib.sha256(np.load(path).tobytes()).hexdigest()
    data = path.read_bytes()
    assert data, path
    if kind in (".png", ".pdf"):
        assert data.rstrip().endswith((b"%%EOF", b"IEND\xaeB`\x82")), path
    return kind


def content_of(folder: Path, without: tuple[str, ...] = ()) -> dict[str, object]:
    """Path of every file of a folder -> what it holds; temporary ones left out, and folders named in ``without``."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not temporary(name) and name.split("/")[0] not in without:
            found[name] = _part(path)
    return found


def temporary(name: str) -> bool:
    """Whether a path is one that a run that goes on may leave: the next one removes it."""
    return any(LEFT.search(part) or part.endswith((".parts", ".partial.old")) for part in name.split("/")) or bool(
        re.search(r"-(journal|wal|shm)$", name)
    )


# ---------------------------------------------------------------------- inputs


def write_maps(folder: Path) -> dict[str, str]:
    """Two maps of codes that differ, their confidences, and objects."""
    from landloom.model.base.raster import spatial_reference, write_raster

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(6)
    crs = spatial_reference("EPSG:32738").ExportToWkt()
    fields = np.kron(random.integers(1, 4, (5, 6)), np.ones((10, 10), int))
    noisy = np.where(random.random(fields.shape) > 0.9, random.integers(1, 4, fields.shape), fields)
    objects = np.kron(np.arange(1, 31).reshape(5, 6), np.ones((10, 10), int))
    rasters = {
        "first": fields.astype(np.uint8),
        "second": noisy.astype(np.uint8),
        "trust1": random.integers(30, 100, fields.shape).astype(np.uint8),
        "trust2": random.integers(30, 100, fields.shape).astype(np.uint8),
        "objects": objects.astype(np.uint32),
    }
    paths = {name: str(folder / f"{name}.tif") for name in rasters}
    for name, values in rasters.items():
        corner = (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0)
        write_raster(paths[name], values, corner, crs, 255 if name.startswith("trust") else 0)
    return paths


def quick_runs(maps: dict[str, str]) -> dict[str, tuple[str, dict]]:
    """Name -> algorithm and parameters, of those that need maps only."""
    both = [maps["first"], maps["second"]]
    trusts = [maps["trust1"], maps["trust2"]]
    return {
        "mosaic": (
            "mosaic",
            {"MAPS": both, "CONFIDENCES": trusts, "OUTPUT": "{out}/mosaic.tif", "CONFIDENCE": "{out}/trust.tif"},
        ),
        "fuse": (
            "fuse",
            {"MAPS": both, "METHOD": "majority", "OUTPUT": "{out}/fused.tif", "CONFIDENCE": "{out}/c.tif"},
        ),
        "regularise": ("regularise", {"MAP": maps["second"], "MIN_AREA": 0.05, "OUTPUT": "{out}/regular.tif"}),
        "difference": (
            "difference",
            {
                "BEFORE": both[0],
                "AFTER": both[1],
                "OUTPUT": "{out}/difference.tif",
                "TABLE": "{out}/changes.csv",
                "CLASSES": "{out}/classes.csv",
                "REPORT": "{out}/difference.html",
            },
        ),
        "vectorise": (
            "vectorise",
            {"MAP": maps["second"], "CONFIDENCE": maps["trust1"], "MIN_AREA": 0.05, "OUTPUT": "{out}/map.gpkg"},
        ),
        "vectorise-shp": ("vectorise", {"MAP": maps["second"], "MIN_AREA": 0.05, "OUTPUT": "{out}/map.shp"}),
        "areas": ("areas", {"MAP": maps["first"], "OUTPUT": "{out}/areas.csv", "REPORT": "{out}/areas.html"}),
        "sampledesign": (
            "sampledesign",
            {"MAP": maps["second"], "SIZE": 40, "MIN_PER_CLASS": 5, "OUTPUT": "{out}/design.gpkg"},
        ),
    }


def all_runs(maps: dict[str, str], stack: str, reference: str, made: dict[str, str]) -> dict[str, tuple[str, dict]]:
    """Those that need images and models, too."""
    truth = {"REFERENCE": reference, "CLASS_FIELD": "crop"}
    both = {"STACK": stack, "SEGMENTS": maps["objects"]}
    seed = {"SEED": 1, "DEVICE": "cpu"}
    sets = {**both, **truth, "NETWORK": "pixelset", "EPOCHS": 2, "SEED": 1}
    quick = {"NETWORKS": "ltae", "SENSOR_SETS": "S1", "EVALUATION": "holdout", "EPOCHS": 1, "RUNS": 2, **seed}
    forest = {"NETWORK": "randomforest", "EVALUATION": "holdout", **seed}
    report = {"OUTPUT": "{out}/objects.safetensors", "REPORT": "{out}/objects.html"}
    return {
        "coregister": (
            "coregister",
            {
                "STACK": stack,
                "SENSOR": "S2",
                "OUTPUT": "{out}/stack.json",
                "TABLE": "{out}/shifts.csv",
                "REPORT": "{out}/shifts.html",
                "COPY": "{out}/copies",
            },
        ),
        "coregister-image": (
            "coregister",
            {"INPUT": made["image"], "STACK": stack, "SENSOR": "S2", "OUTPUT": "{out}/moved.vrt"},
        ),
        "addrasters": (
            "addrasters",
            {"STACK": stack, "SENSOR": "MAP", "KIND": "static", "RASTERS": [maps["first"]], "OUTPUT": "{out}/s.json"},
        ),
        "composite": ("composite", {"STACK": stack, "SENSOR": "S2", "OUTPUT": "{out}/composites"}),
        "nomenclature": ("nomenclature", {**truth, "OUTPUT": "{out}/classes.csv"}),
        "check": ("check", {"STACK": stack, **truth, "REPORT": "{out}/check.html"}),
        "segment": (
            "segment",
            {"STACK": stack, "SENSOR": "S2", "SCALE": 6, "OUTPUT": "{out}/s.tif", "POLYGONS": "{out}/s.gpkg"},
        ),
        "objectfeatures": ("objectfeatures", {**both, "OUTPUT": "{out}/features.gpkg"}),
        "trainobjects": ("trainobjects", {**both, **truth, **report, "SEED": 1}),
        "trainobjects-pixelset": ("trainobjects", {**sets, **report}),
        "classifyobjects": (
            "classifyobjects",
            {**both, "MODEL": made["objects"], "OUTPUT": "{out}/objects.gpkg", "RASTER": "{out}/raster.tif"},
        ),
        "train": (
            "train",
            {
                "SAMPLES": [made["samples"]],
                "NETWORK": "ltae",
                "EPOCHS": 3,
                "EVALUATION": "holdout",
                **seed,
                "OUTPUT": "{out}/m.safetensors",
                "REPORT": "{out}/m.html",
            },
        ),
        "descriptors": (
            "descriptors",
            {"STACK": stack, "MODEL": made["network"], "DEVICE": "cpu", "OUTPUT": "{out}/d.tif"},
        ),
        "suggestlabels": (
            "suggestlabels",
            {"STACK": stack, "MODEL": made["model"], "COUNT": 5, "SEED": 1, "OUTPUT": "{out}/places.gpkg"},
        ),
        "assess": (
            "assess",
            {
                "MAP": made["map"],
                **truth,
                "REPORT": "{out}/assess.html",
                "TABLE": "{out}/assess.json",
                "MATRIX": "{out}/matrix.csv",
                "OBJECTS": "{out}/objects.gpkg",
            },
        ),
        "compare": (
            "compare",
            {"SAMPLES": made["samples"], **quick, "REPORT": "{out}/compare.html", "TABLE": "{out}/compare.json"},
        ),
        "landcovermap": (
            "landcovermap",
            {
                "STACK": stack,
                **truth,
                **forest,
                "OUTPUT": "{out}/map.tif",
                "CONFIDENCE": "{out}/trust.tif",
                "MODEL": "{out}/model.safetensors",
                "REPORT": "{out}/map.html",
                "WORK_FOLDER": "{out}/work",
            },
        ),
        "samplescene": ("samplescene", {"SIZE": 60, "SEED": 3, "OUTPUT": "{out}/scene"}),
    }


def make_models(zygote: Zygote, folder: Path, stack: str, reference: str, maps: dict[str, str]) -> dict[str, str]:
    """Samples, models and a map of them, for the algorithms that need such."""
    truth = {"REFERENCE": reference, "CLASS_FIELD": "crop"}
    forest = {"NETWORK": "randomforest", "EVALUATION": "holdout", "DEVICE": "cpu"}
    made = {
        "samples": "{out}/samples",
        "model": "{out}/model.safetensors",
        "network": "{out}/network.safetensors",
        "map": "{out}/map.tif",
        "objects": "{out}/objects.safetensors",
    }
    for algorithm, parameters in (
        ("extractsamples", {"STACK": stack, **truth, "FOLDS": 2, "OUTPUT": made["samples"]}),
        ("train", {"SAMPLES": [made["samples"]], **forest, "OUTPUT": made["model"]}),
        ("train", {"SAMPLES": [made["samples"]], **forest, "NETWORK": "ltae", "EPOCHS": 1, "OUTPUT": made["network"]}),
        ("classify", {"STACK": stack, "MODEL": made["model"], "OUTPUT": made["map"]}),
        ("trainobjects", {"STACK": stack, "SEGMENTS": maps["objects"], **truth, "OUTPUT": made["objects"]}),
    ):
        run = start(zygote, algorithm, parameters, folder).wait()
        assert run.done, run.told
    image = sorted(Path(stack).parent.rglob("S2_*05.tif"))[0]
    return {"image": str(image), **{name: path.replace("{out}", str(folder)) for name, path in made.items()}}


# ---------------------------------------------------------------------- runs


def start(zygote: Zygote, algorithm: str, parameters: dict, folder: Path, faults: dict | None = None) -> Run:
    """Begin to run an algorithm whose outputs go to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    inputs = {"algorithm": algorithm, "parameters": parameters}
    return zygote.start("processing", inputs, folder / "x", faults, at=str(folder))


def emptied(folder: Path) -> Path:
    """The folder, empty: outputs tell of their own paths, so that all runs write to the same place."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def check_finals(folder: Path, expected: dict[str, object], when: str) -> None:
    """Whatever has its final name is whole."""
    for path, held in content_of(folder, KEPT).items():
        assert path in expected, f"{when}: {path} is left"
        assert held == expected[path], f"{when}: {path}"


def left_of(folder: Path) -> list[str]:
    """Temporary files."""
    return [path.name for path in folder.rglob("*") if temporary(path.name)]
