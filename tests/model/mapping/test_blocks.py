"""Array jobs without Dask: the scripts are run by hand, with stand-ins for the queues; pixels are the local run's."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.mapping import blocks, console, job
from landloom.model.mapping.classify import classify
from landloom.model.mapping.regionblend import RegionChoice
from osgeo import gdal


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """The environment of a node where landloom is installed, with queues that write down what they are given."""
    import mapping_node

    queue = tmp_path_factory.mktemp("node é") / "bin"
    queue.mkdir()
    for name, answer in (("sbatch", "4711;cluster"), ("qsub", "4712[].server")):
        (queue / name).write_text(f'#!/bin/sh\nprintf "%s\\n" "{name}" "$@" >>"$QUEUE_LOG"\necho "{answer}"\n')
        (queue / name).chmod(0o755)
    path = f"{queue}{os.pathsep}{os.environ['PATH']}"
    with mapping_node.installed(queue.parent) as environment:
        yield {**environment, "PATH": path}


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(job.Job, "block_pixels", lambda self: 4096)


def planned(stack, model, output, capsys, *more):
    """Plan by the command, in this process so that blocks are small; gives what it prints."""
    arguments = ["--stack", str(stack), "--model", str(model), "--output", str(output), "--cpus", "1", *more]
    assert console.main(["blocks", "plan", "classify", *arguments]) == 0
    return capsys.readouterr().out


def shell(script, environment, **more):
    done = subprocess.run(
        ["sh", script], env={**environment, **more}, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("queue, number", [("slurm", "SLURM_ARRAY_TASK_ID"), ("pbs", "PBS_ARRAY_INDEX")])
def test_array_jobs_give_the_map_of_one_run(
    queue, number, mapping_stack, forest_model, node, small_blocks, tmp_path, capsys
):
    here, there = tmp_path / "here.tif", tmp_path / 'a $map "é".tif'
    classify(mapping_stack, forest_model, here, tmp_path / "here_c.tif", threads=1)
    confidence = tmp_path / "there_c.tif"
    told = planned(
        mapping_stack, forest_model, there, capsys, "--jobs", "2", "--queue", queue, "--confidence", str(confidence)
    )
    parts = Path(f"{there}.parts")
    total = blocks.count(parts)
    assert told.startswith(f"{total} blocks.") and total == 9
    array, assemble = (tmp_path / f"{there.name}.{kind}.sh" for kind in ("array", "assemble"))
    assert shell(array, node, **{number: "1"})[0] == 0
    if queue == "pbs":  # the rest is the same
        assert len(list(parts.glob("block_*.npz"))) == total - 4
        return
    code, sentence = shell(assemble, node)
    assert code == 1 and "not there yet: 0-3." in sentence
    assert shell(array, node, **{number: "0"})[0] == 0
    assert len(list(parts.glob("block_*.npz"))) == total
    code, sentence = shell(assemble, node)
    assert code == 0, sentence
    for one, other in ((here, there), (tmp_path / "here_c.tif", confidence)):
        assert np.array_equal(gdal.Open(str(one)).ReadAsArray(), gdal.Open(str(other)).ReadAsArray())
    assert not parts.exists()
    assert console.main(["blocks", "status", str(parts)]) == 0
    assert f"{there} is there" in capsys.readouterr().out


def test_models_of_regions_give_the_map_of_one_run(mapping_stack, forest_model, small_blocks, tmp_path, capsys):
    import mapping_scene

    east = mapping_scene.make_model(mapping_stack, "randomforest", tmp_path / "east.safetensors", seed=7)
    model, layer = mapping_scene.make_regional(tmp_path / "é", forest_model, {"west": forest_model, "east": east})
    here, there = tmp_path / "here.tif", tmp_path / "there.tif"
    classify(mapping_stack, model, here, threads=1, regions=RegionChoice(str(layer), "eco", 200))
    more = ["--regions", f"{layer}|layername=regions", "--region-field", "eco", "--blend", "200"]
    planned(mapping_stack, model, there, capsys, *more)
    parts = Path(f"{there}.parts")
    blocks.compute(parts, 0, 8, threads=1)
    _, moved = mapping_scene.make_regional(tmp_path / "b", forest_model, {"east": east, "west": forest_model})
    kept = layer.read_bytes()
    layer.write_bytes(moved.read_bytes())
    assert console.main(["blocks", "assemble", str(parts)]) == 1  # and the parts stay
    assert "is not what it was when the run began" in capsys.readouterr().err
    layer.write_bytes(kept)
    assert console.main(["blocks", "assemble", str(parts)]) == 0
    assert np.array_equal(gdal.Open(str(here)).ReadAsArray(), gdal.Open(str(there)).ReadAsArray())
    given = ["--stack", str(mapping_stack), "--model", str(model), "--output", str(there), *more[:2]]
    assert console.main(["blocks", "plan", "classify", *given]) == 1
    assert "both --regions and --region-field" in capsys.readouterr().err


@pytest.mark.parametrize("queue", ["slurm", "pbs"])
def test_the_array_comes_first_and_assembling_depends_on_it(
    queue, mapping_stack, forest_model, node, small_blocks, tmp_path, capsys
):
    told = planned(
        mapping_stack, forest_model, tmp_path / "m.tif", capsys, "--jobs", "4", "--queue", queue, "--option=-A team",
        "--command", "landloom", "--scripts", str(tmp_path / "my jobs"), "--memory-mb", "1000", "--time", "01:00:00",
    )  # fmt: skip
    submit = shlex.split(told.split("with: sh ")[1])[0]
    assert shell(submit, node, QUEUE_LOG=str(tmp_path / "log"))[0] == 0
    sent = (tmp_path / "log").read_text().splitlines()
    folder = tmp_path / "my jobs"
    text = (folder / "m.tif.array.sh").read_text()
    if queue == "slurm":
        after = "--dependency=afterok:4711"
        assert sent == [
            "sbatch",
            "--parsable",
            f"{folder}/m.tif.array.sh",
            "sbatch",
            after,
            "--kill-on-invalid-dep=yes",
            f"{folder}/m.tif.assemble.sh",
        ]
        assert "#SBATCH --array=0-3\n" in text and "#SBATCH -A team\n" in text and "#SBATCH --mem=3048M\n" in text
        assert "#SBATCH --requeue\n" in text and "#SBATCH --open-mode=append\n" in text
    else:
        after = "depend=afterok:4712[].server"
        assert sent == ["qsub", f"{folder}/m.tif.array.sh", "qsub", "-W", after, f"{folder}/m.tif.assemble.sh"]
        assert "#PBS -J 0-3\n" in text and "#PBS -A team\n" in text and ":mem=3048mb\n" in text
    assert "exec landloom blocks run " in text


@pytest.mark.parametrize("jobs, total", [(1, 1), (3, 10), (10, 10), (7, 1764), (20, 37)])
def test_every_block_is_in_one_job(jobs, total):
    spans = [blocks.span(index, jobs, total) for index in range(jobs)]
    assert [number for first, last in spans for number in range(first, last + 1)] == list(range(total))
    assert max(b - a for a, b in spans) - min(b - a for a, b in spans) <= 1


def test_numbers_in_words():
    assert blocks.ranges([7, 0, 1, 2, 9, 10]) == "0-2, 7, 9-10"
    assert blocks.ranges([]) == ""


def test_refusals_are_sentences(mapping_stack, forest_model, small_blocks, tmp_path, capsys, monkeypatch):
    def refused(*arguments):
        assert console.main(["blocks", *map(str, arguments)]) == 1
        return capsys.readouterr().err.splitlines()[-1]

    parts = tmp_path / "m.tif.parts"
    assert "cannot be read" in refused("run", parts, "--from", 0, "--to", 1)
    assert "holds no plan" in refused("status", parts)
    planned(mapping_stack, forest_model, tmp_path / "m.tif", capsys, "--jobs", "2")
    assert "--from 5 --to 9 is no range of the 9 blocks 0 to 8" in refused("run", parts, "--from", 5, "--to", 9)
    with monkeypatch.context() as patch:
        patch.setattr(blocks, "versions", lambda: {"numpy": "0.1"})
        assert "Python" in refused("run", parts, "--from", 0, "--to", 0)
    assert "Another run" not in refused("assemble", parts)  # planning has let go of its lock
    assert parts.is_dir()
    content = (parts / "order.json").read_text()
    (parts / "order.json").write_text(content.replace('"run": "', '"run": "0'))
    assert "another one has begun" in refused("run", parts, "--from", 0, "--to", 0)
    (parts / "order.json").write_text("[" * 100_000)
    assert "is not the order" in refused("run", parts, "--from", 0, "--to", 0)
    shutil.rmtree(parts)
    given = ["--stack", mapping_stack, "--model", forest_model, "--output", tmp_path / "m.tif"]
    assert "--jobs is 0" in refused("plan", "classify", *given, "--jobs", 0)
    assert "forest has no descriptors" in refused("plan", "descriptors", *given)


def test_a_plan_of_what_is_there_goes_on(mapping_stack, forest_model, small_blocks, tmp_path, capsys):
    """Planned twice, computed between: the second plan keeps the parts, and the map is made when nothing is left."""
    output = tmp_path / "m.tif"
    planned(mapping_stack, forest_model, output, capsys)
    parts = Path(f"{output}.parts")
    blocks.compute(parts, 0, 8, threads=1)
    before = {path.name: path.stat().st_mtime_ns for path in parts.glob("block_*")}
    assert len(before) == 9
    arguments = ["--stack", str(mapping_stack), "--model", str(forest_model), "--output", str(output), "--cpus", "1"]
    assert console.main(["blocks", "plan", "classify", *arguments]) == 1
    assert "has been assembled" in capsys.readouterr().err
    assert output.exists() and not parts.exists()


def test_a_stopped_job_keeps_what_it_has_done(mapping_stack, forest_model, small_blocks, tmp_path, capsys, monkeypatch):
    """The order goes in mid-run, as when the run was cancelled or made anew: no part takes its name after that."""
    output = tmp_path / "m.tif"
    planned(mapping_stack, forest_model, output, capsys)
    parts = Path(f"{output}.parts")
    monkeypatch.setattr("landloom.model.mapping.blockwork.LOOK", 0.0)
    write = blocks.Journal.write

    def writing(self, block, arrays):
        if block.index == 2:
            (parts / "order.json").unlink()
        write(self, block, arrays)

    monkeypatch.setattr(blocks.Journal, "write", writing)
    with pytest.raises(LandloomError, match="has ended"):
        blocks.compute(parts, 0, 8, threads=1)
    assert len(list(parts.glob("block_*[0-9].npz"))) == 2
    assert not list(parts.glob("*.partial*"))


def test_the_engine_of_the_command_needs_no_qgis(node):
    code = "import sys; import landloom.model.mapping.console; print('qgis' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=node, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
