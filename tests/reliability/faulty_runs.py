"""Small inputs, runs in processes that can be killed, and what their outputs hold."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
NIGHTLY = os.environ.get("LANDLOOM_NIGHTLY") == "1"
NAMES = {
    "preparestack": "stack.json",
    "extractsamples": "samples",
    "train": "model.safetensors",
    "classify": "map.tif",
    "segment": "objects.tif",
}
LEFT = re.compile(r"\.partial(\.|$)|\.lock$|\.parts$|\.checkpoint$")


class Zygote:
    """The process that forks one process for each run."""

    def __init__(self, *words: str) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, HERE / "zygote.py", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self._answer() == {"ready": True}

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        assert line, "the process that forks the runs has ended"
        return json.loads(line)

    def _ask(self, order: dict) -> dict:
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def start(self, step: str, inputs: dict, output: Path, faults: dict | None = None, at: str = "", **order) -> Run:
        """Begin a run; ``at`` is an output in a folder that cannot be made."""
        output.parent.mkdir(parents=True, exist_ok=True)
        order = {"step": step, "inputs": inputs, "output": at or str(output), "faults": faults or {}, **order}
        begin = time.monotonic()
        return Run(self, self._ask(order)["pid"], begin)

    def run(self, *arguments, **names) -> Run:
        return self.start(*arguments, **names).wait()

    def wait(self, pid: int) -> dict:
        return self._ask({"wait": pid})

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@dataclass
class Run:
    """One run: ``status`` 0, or minus the signal that ended it; what it said."""

    zygote: Zygote
    pid: int
    begin: float
    status: int | None = None
    seconds: float = 0.0
    told: dict = field(default_factory=dict)

    def wait(self) -> Run:
        answer = self.zygote.wait(self.pid)
        self.seconds = time.monotonic() - self.begin
        self.status, self.told = answer["status"], answer["told"]
        return self

    def kill_after(self, seconds: float) -> Run:
        time.sleep(seconds)
        os.kill(self.pid, signal.SIGKILL)  # of one that has ended, which nobody waited for, it does nothing
        return self.wait()

    @property
    def done(self) -> bool:
        return "done" in self.told

    @property
    def sentence(self) -> str:
        """Why it refused."""
        assert "crashed" not in self.told, self.told["crashed"]
        return self.told.get("refused", "")


# ---------------------------------------------------------------------- inputs


def make_products(folder: Path, writer) -> Path:
    """Five dates of a small optical series with clouds, in the form of an archive."""
    random = np.random.default_rng(4)
    for day in ("05", "11", "17", "23", "29"):
        values = {band: random.integers(1, 5000, (24, 24)).astype(np.int16) for band in ("B2", "B3", "B4", "B8")}
        cloud = (random.random((24, 24)) > 0.7).astype(np.uint8)
        writer.theia(folder, f"202101{day}", values, cloud)
    return folder


def make_inputs(folder: Path, writer, make_stack, mapping_scene, samples_scene) -> dict:
    """Products, a stack with its reference data, a larger stack with models of it."""
    products = make_products(folder / "products", writer)
    stack = make_stack(folder / "fields", samples_scene.sensors())
    reference = samples_scene.write_layer(folder / "reference.gpkg", samples_scene.fields())
    scene = mapping_scene.make_stack(folder / "scène")
    forest = mapping_scene.make_model(scene, "randomforest", folder / "forest.safetensors")
    return {
        "products": str(products),
        "stack": str(stack),
        "reference": str(reference),
        "scene": str(scene),
        "forest": str(forest),
    }


# ---------------------------------------------------------------------- outputs


def content(step: str, output: Path) -> dict[str, str]:
    """What an output holds, by the name of each part; times and machine left out. Fails where a part is not whole."""
    return {
        "preparestack": _stack,
        "extractsamples": _samples,
        "train": _model,
        "classify": _map,
        "segment": _raster,
    }[step](output)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _stack(output: Path) -> dict[str, str]:
    from landloom.model.stack.reader import StackReader

    with StackReader(output) as reader:
        series = reader.read(reader.stack.grid.whole)
    found = {name: _hash(one.values.tobytes() + one.mask.tobytes()) for name, one in series.items()}
    folder = output.with_name(f"{output.stem}_vrt")
    return {**found, "json": _hash(output.read_bytes()), **{p.name: _hash(p.read_bytes()) for p in folder.iterdir()}}


def _samples(output: Path) -> dict[str, str]:
    from landloom.model.samples.store import SampleStore
    from osgeo import ogr

    store = SampleStore.open(output)
    layer = ogr.Open(str(output / "samples.gpkg"))
    points = sorted(feature.ExportToJson() for feature in layer.GetLayer(0))
    found = {path.name: _hash(path.read_bytes()) for path in output.iterdir() if path.suffix == ".npy"}
    return {**found, "points": _hash("".join(points).encode()), "samples": str(len(store.labels))}


def _model(output: Path) -> dict[str, str]:
    from landloom.model.networks.modelfile import Model
    from landloom.model.networks.tensorfile import read_tensors

    Model.load(output)
    tensors, header = read_tensors(output)
    page = Path(f"{output}.html").read_text("utf-8")
    assert page.rstrip().endswith("</html>")
    header.pop("provenance", None)
    found = {name: _hash(array.tobytes()) for name, array in tensors.items()}
    return {**found, "header": _hash(json.dumps(header, sort_keys=True).encode())}


def _map(output: Path) -> dict[str, str]:
    stem = output.with_suffix("")
    files = [output, Path(f"{stem}_confidence.tif"), Path(f"{stem}_probabilities.tif")]
    return {path.name: one for path in files for one in _raster(path).values()}


def _raster(output: Path) -> dict[str, str]:
    from osgeo import gdal

    dataset = gdal.Open(str(output))
    values = dataset.ReadAsArray()
    assert values is not None
    return {output.name: _hash(values.tobytes())}


def left_over(folder: Path) -> list[str]:
    """Names that no finished run leaves."""
    return sorted(path.name for path in folder.rglob("*") if LEFT.search(path.name))


def check_finals(step: str, output: Path, allowed: list[dict[str, str]]) -> None:
    """Whatever has its final name is whole: what the run would have given, or what was there before."""
    if step == "classify":
        for name in allowed[0]:
            if (output.parent / name).exists():
                assert _raster(output.parent / name)[name] in [one[name] for one in allowed]
    elif output.exists():
        assert content(step, output) in allowed
