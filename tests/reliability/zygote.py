"""Runs steps of the engine in processes that may be killed: imports once, then forks one process for each run.

With ``--qgis`` it starts QGIS first, and the step ``processing`` runs any algorithm.
Reads one JSON object a line from its input and answers with one a line: ``{"pid": ...}`` when a run begins, and
``{"status": ..., "told": ...}`` when its process has ended, with what the run gave, or its error.
The process that forks computes nothing and has one thread, so that a fork is as good as a new process.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import json
import os
import signal
import sys
import traceback
from pathlib import Path

LONGEST = 600
"""Seconds after which a run is ended by a signal, so that one that waits for ever fails its test."""
ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402
from scipy.linalg import lu_factor  # noqa: E402

spec = importlib.util.spec_from_file_location("landloom", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
sys.modules["landloom"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["landloom"])

from landloom.model.base.errors import LandloomError, lacks_memory  # noqa: E402
from landloom.model.mapping import job  # noqa: E402
from landloom.model.mapping.classify import classify  # noqa: E402
from landloom.model.objects.segmentation import SegmentSettings, open_image, segment  # noqa: E402
from landloom.model.samples.extraction import extract_samples  # noqa: E402
from landloom.model.samples.settings import ExtractionSettings  # noqa: E402
from landloom.model.samples.store import SampleStore  # noqa: E402
from landloom.model.stack.prepare import PrepareSettings, prepare_stack  # noqa: E402
from landloom.model.stack.reader import StackReader  # noqa: E402
from landloom.model.training.run import train  # noqa: E402
from landloom.model.training.settings import TrainingSettings  # noqa: E402


class Told:
    """A progress that keeps what it is told; ``at`` is called whenever it is asked whether to stop."""

    def __new__(cls, lines):
        from landloom.model.base.progress import Progress

        class Kept(Progress):
            def info(self, message):
                lines.append(message)

            def warning(self, message):
                lines.append(message)

        return Kept()


def preparestack(inputs, output, progress):
    settings = PrepareSettings(mask_buffer=20, copy=f"{output}_copy" if inputs.get("copy") else "")
    prepare_stack(inputs["products"], output, settings, progress=progress)


def extractsamples(inputs, output, progress):
    settings = ExtractionSettings("crop", max_per_group=30, memory_mb=inputs.get("memory_mb", 1024))
    extract_samples(inputs["stack"], inputs["reference"], settings, output, progress)


def train_model(inputs, output, progress):
    settings = TrainingSettings(
        inputs["network"], epochs=inputs.get("epochs", 3), evaluation="holdout", device="cpu", seed=1
    )
    train([SampleStore.open(inputs["samples"])], settings, output, f"{output}.html", progress)


def classify_stack(inputs, output, progress):
    if "block_pixels" in inputs:
        job.Job.block_pixels = lambda self: inputs["block_pixels"]
    classify(
        inputs["stack"],
        inputs["model"],
        output,
        output.replace(".tif", "_confidence.tif"),
        output.replace(".tif", "_probabilities.tif"),
        memory_mb=inputs.get("memory_mb", 1024),
        device="cpu",
        threads=inputs.get("threads", 1),
        progress=progress,
    )


def segment_stack(inputs, output, progress):
    image = open_image(None, inputs["stack"], ["S2"], [], 256)
    segment(image, output, SegmentSettings(20.0, memory_mb=256), progress)


def processing_run(inputs, output, progress):
    """Any algorithm; ``{out}`` in its parameters is the folder of its outputs."""
    import processing
    from qgis.core import QgsProcessingException, QgsProcessingFeedback

    parameters = json.loads(json.dumps(inputs["parameters"]).replace("{out}", output))
    feedback = QgsProcessingFeedback()
    try:
        processing.run(f"landloom:{inputs['algorithm']}", parameters, feedback=feedback)
    except QgsProcessingException as error:
        raise LandloomError(str(error)) from error
    finally:
        progress.info(feedback.textLog()[-3000:])


STEPS = {
    "processing": processing_run,
    "preparestack": preparestack,
    "extractsamples": extractsamples,
    "train": train_model,
    "classify": classify_stack,
    "segment": segment_stack,
}


def at_rename(number, before):
    """Die at the n-th renaming of a file or folder, just before or after it: there outputs get their names."""
    replace, count = os.replace, [0]

    def dying(*arguments, **names):
        count[0] += 1
        if before and count[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*arguments, **names)
        if count[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = dying


EVENTS = [0]
_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.utime", "sqlite3.connect")


def at_event(number, folder):
    """Die just before the n-th change that Python makes in a folder: a file opened to write, renamed, removed ..."""

    def hook(event, arguments):
        if event == "open":
            path, mode, flags = arguments
            if not (flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) and not set(mode or "") & set("wax+"):
                return
        elif event in _CHANGES:
            path = arguments[0]
        else:
            return
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(folder):
            EVENTS[0] += 1
            if EVENTS[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def at_read(number, action, path):
    """Change a source at the n-th window that is read."""
    reads, count = {name: getattr(StackReader, name) for name in ("read", "read_dates")}, [0]

    def spoil():
        count[0] += 1
        if count[0] == number:
            if action == "delete":
                os.unlink(path)
            elif action == "truncate":
                os.truncate(path, os.path.getsize(path) // 2)
            elif action == "replace":
                content = bytearray(Path(path).read_bytes())
                Path(path + ".new").write_bytes(content + b"\0")
                os.replace(path + ".new", path)
            elif action == "wait":
                Path(path).touch()
                signal.pause()

    def spoiling(name):
        def read(self, *arguments, **names):
            spoil()
            return reads[name](self, *arguments, **names)

        return read

    for name in reads:
        setattr(StackReader, name, spoiling(name))


def limit(kind, value):
    import resource

    if kind == "memory":  # on top of what is taken now
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + value, taken + value))
    else:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (value, value))


def child(order):
    faulthandler.enable()
    signal.alarm(LONGEST)
    lines, result = [], {}
    try:
        for name, arguments in order.get("faults", {}).items():
            {"at_rename": at_rename, "at_event": at_event, "at_read": at_read, "limit": limit}[name](*arguments)
        if "pause" in order:  # two runs start together
            while not os.path.exists(order["pause"]):
                pass
        STEPS[order["step"]](order["inputs"], order["output"], Told(lines))
        result = {"done": True}
    except LandloomError as error:
        result = {"refused": str(error)}
    except (OSError, MemoryError) as error:  # which algorithms/base.py turns into one sentence
        result = {"refused": f"{type(error).__name__} {error}", "system": True}
    except BaseException as error:
        result = {"crashed": traceback.format_exc()}
        if lacks_memory(error):
            result = {"refused": str(error), "system": True}
    told = json.dumps({**result, "lines": lines, "events": EVENTS[0]})
    os.write(order["answer"], told.encode())  # a pipe: no disk, no limit


def start_qgis():
    """QGIS without a window, its Processing, and ours; what children would import first is imported here."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from qgis.core import QgsApplication

    application = QgsApplication([], False)
    application.initQgis()
    sys.path.append(str(Path(QgsApplication.pkgDataPath()) / "python" / "plugins"))
    from processing.core.Processing import Processing

    Processing.initialize()
    plugin = sys.modules["landloom"].classFactory(None)
    plugin.initProcessing()
    return application, plugin


def main():
    answers = {}
    kept = start_qgis() if "--qgis" in sys.argv else None  # noqa: F841
    lu_factor(np.eye(3))  # OpenBLAS takes its memory once, and waits for ever where a limit leaves it none
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            with os.fdopen(answers.pop(order["wait"]), encoding="utf-8") as stream:
                told = stream.read()
            status = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
            print(json.dumps({"status": status, "told": json.loads(told) if told else {}}), flush=True)
            continue
        told, order["answer"] = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, 0)
                os.dup2(2, 1)
                child(order)
                code = 0
            finally:
                os._exit(code)
        os.close(order["answer"])
        answers[pid] = told
        print(json.dumps({"pid": pid}), flush=True)


main()
