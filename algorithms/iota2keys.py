"""What each setting of iota2 is called in Landloom: the table behind ``fromiota2``.

Keys are compared without case and underscores, since iota2 renamed ``S2Path`` to ``s2_path`` and so on in 2020.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ..model.base.language import tr

IMAGE_KEYS = ("s2path", "s2s2cpath", "s2l3apath", "l8path")
_DEFAULTS = {
    "runs": 1,
    "randomseed": None,
    "splitgroundtruth": True,
    "enableautocontext": False,
    "classifmode": "separate",
}


@dataclass
class Translation:
    """What became of a configuration.

    Attributes:
        inputs: parameters of ``landcovermap``.
        steps: algorithm -> parameters, for settings that belong to a single step.
        lines: (section, key, value, what it became).
        missing: (section, key, value, why and what to do): settings without a counterpart.
        given: every setting that has a value, by its plain key.
    """

    inputs: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: list[tuple[str, str, str, str]] = field(default_factory=list)
    missing: list[tuple[str, str, str, str]] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)

    def step(self, algorithm: str, parameter: str, value: Any) -> str:
        """Set a parameter of a step and say so."""
        self.steps.setdefault(algorithm, {})[parameter] = value
        return f"{algorithm}: {parameter} = {value}"

    def input(self, parameter: str, value: Any) -> str:
        """Set a parameter of ``landcovermap`` and say so."""
        self.inputs[parameter] = value
        return f"landcovermap: {parameter} = {value}"


class Unknown(Exception):
    """Raised by a rule for a value without a counterpart; the text says why and what to do."""


Rule = Callable[[Translation, Any], str]


def translate(config: dict[str, Any]) -> Translation:
    """Settings of a configuration, one by one."""
    result = Translation()
    for content in config.values():
        if isinstance(content, dict):
            result.given |= {plain(key): value for key, value in content.items() if not _empty(value)}
    for section, content in config.items():
        if not isinstance(content, dict):
            result.missing.append(("", section, shown(content), tr("stands outside any section")))
            continue
        for key, value in content.items():
            if _empty(value):
                continue
            rule = _RULES.get(plain(key)) or _RULES.get(f"{plain(section)}.{plain(key)}")
            if rule is None:
                why = _WITHOUT.get(plain(key)) or _SECTIONS.get(plain(section), tr("has no counterpart"))
                result.missing.append((section, key, shown(value), why))
                continue
            try:
                result.lines.append((section, key, shown(value), rule(result, value)))
            except Unknown as reason:
                result.missing.append((section, key, shown(value), str(reason)))
    if "PROBABILITIES" in result.inputs and "OUTPUT" in result.inputs:
        beside = PurePosixPath(result.inputs["OUTPUT"]).with_name(result.inputs["PROBABILITIES"])
        result.inputs["PROBABILITIES"] = str(beside)
    return result


def plain(key: str) -> str:
    """A key as it is compared."""
    return key.replace("_", "").lower()


def _empty(value: Any) -> bool:
    """Whether a setting has no value; older configurations write None between quotes."""
    return value is None or value in ("", [], "None", "none")


def shown(value: Any) -> str:
    """A value on one line, not too long."""
    text = " ".join(str(value).split())
    return text if len(text) <= 120 else f"{text[:119]}…"


def _images(sensor: str) -> Rule:
    def rule(result: Translation, value: Any) -> str:
        if "INPUT" in result.inputs:
            if result.inputs["INPUT"] == value:
                return tr("the same folder")
            raise Unknown(
                f"is a second folder: landcovermap reads one. Prepare a stack of {result.inputs['INPUT']} first, then "
                f"run preparestack with INPUT={value} and STACK= that stack, and give landcovermap the result as STACK"
            )
        return f"{result.input('INPUT', value)} ({sensor})"

    return rule


def _output(result: Translation, value: Any) -> str:
    folder = PurePosixPath(str(value).replace("\\", "/").rstrip("/"))
    own = folder.with_name(f"{folder.name}_landloom") if folder.name else folder / "landloom"
    for parameter, name in (
        ("OUTPUT", "map.tif"),
        ("CONFIDENCE", "confidence.tif"),
        ("MODEL", "model.safetensors"),
        ("REPORT", "report.html"),
        ("WORK_FOLDER", "work"),
    ):
        result.inputs[parameter] = str(own / name)
    return tr("landcovermap: OUTPUT and the rest in {own}, so that iota2's results stay").format(own=own)


def _seed(result: Translation, value: Any) -> str:
    return result.input("SEED", int(value))


def _ratio(result: Translation, value: Any) -> str:
    share = round(1.0 - float(value), 6)
    if not 0 <= share <= 0.9:
        raise Unknown(tr("is outside 0.1 to 1: set TEST by hand"))
    return tr("{input}, by class and group as in iota2").format(input=result.input("TEST", share))


def _runs(result: Translation, value: Any) -> str:
    return tr("{step}: repeated splits, with the spread and intervals over them").format(
        step=result.step("compare", "RUNS", int(value))
    )


def _no_split(result: Translation, value: Any) -> str:
    if value:
        return tr("a split by group is what extractsamples does")
    raise Unknown(
        tr("trains and judges on the same polygons: such scores say nothing, and Landloom does not make them")
    )


def _proj(result: Translation, value: Any) -> str:
    text = str(value) if ":" in str(value) else f"EPSG:{value}"
    return result.input("CRS", text)


def _resolution(result: Translation, value: Any) -> str:
    values = value if isinstance(value, list) else str(value).split()
    sizes = {float(one) for one in values}
    if len(sizes) != 1:
        raise Unknown(tr("has pixels that are not square: set RESOLUTION by hand"))
    return result.input("RESOLUTION", sizes.pop())


def _step(result: Translation, value: Any) -> str:
    if not re.fullmatch(r"\d+", str(value)):
        raise Unknown(tr("is no number of days"))
    return tr("{input} (one step for all sensors)").format(input=result.input("STEP", int(value)))


def _date(parameter: str) -> Rule:
    def rule(result: Translation, value: Any) -> str:
        digits = str(value)
        if not re.fullmatch(r"\d{8}", digits):
            raise Unknown(tr("is not written YYYYMMDD"))
        return result.input(parameter, f"{digits[:4]}-{digits[4:6]}-{digits[6:]}")

    return rule


def _classifier(result: Translation, value: Any) -> str:
    if str(value).lower() in ("rf", "sharkrf", "randomforest"):
        note = tr("100 trees, depth 25, min. 5 samples to split; ltae is the network to compare it with")
        return f"{result.input('NETWORK', 'randomforest')} ({note})"
    raise Unknown(tr("is not among Landloom's networks: randomforest, ltae, tempcnn and twinns are"))


def _deep(result: Translation, value: Any) -> str:
    name = value.get("dl_name", "") if isinstance(value, dict) else ""
    if name == "LTAEClassifier":
        return tr("{input}, with its own recipe of training").format(input=result.input("NETWORK", "ltae"))
    raise Unknown(
        tr("'{name}' is not among Landloom's networks: ltae (temporal attention) is the nearest").format(name=name)
    )


def _probabilities(result: Translation, value: Any) -> str:
    if not value:
        return tr("not asked for")
    return tr("{input}, beside the map").format(input=result.input("PROBABILITIES", "probabilities.tif"))


def _regions(result: Translation, value: Any) -> str:
    text = result.input("REGIONS", value)
    result.input("REGION_FIELD", str(result.given.get("regionfield", "region")))
    if not result.given.get("enableboundaryfusion"):
        text += " " + tr("and {input}: iota2 cuts at the borders").format(input=result.input("BLEND", 0))
    outside = tr("what is outside all regions is mapped by the model of all samples: give REGIONS as MASK too if not")
    return f"{text}; {outside}"


def _region_field(result: Translation, value: Any) -> str:
    if "regionpath" not in result.given:
        return tr("not used without region_path")
    return f"landcovermap: REGION_FIELD = {value}"


def _boundaries(result: Translation, value: Any) -> str:
    if not value or "regionpath" not in result.given:
        return tr("not asked for")
    return tr("landcovermap: BLEND, metres across borders, half of them on each side; 500 unless you set it")


def _features(result: Translation, value: Any) -> str:
    return tr("the forest always reads NDVI, NDWI (as iota2 defines it) and brightness beside the bands")


def _kept(text: str) -> Rule:
    return lambda _result, _value: text


def _is_default(key: str, why: str) -> Rule:
    def rule(_result: Translation, value: Any) -> str:
        if value == _DEFAULTS[key] or not value:
            return tr("not asked for")
        raise Unknown(why)

    return rule


_RULES: dict[str, Rule] = {
    "s2path": _images("Theia L2A"),
    "s2s2cpath": _images("Sen2Cor L2A"),
    "s2l3apath": _images("Theia L3A"),
    "l8path": _images("Theia Landsat"),
    "outputpath": _output,
    "groundtruth": lambda result, value: result.input("REFERENCE", value),
    "datafield": lambda result, value: result.input("CLASS_FIELD", value),
    "nomenclaturepath": lambda result, value: result.input("NOMENCLATURE", value),
    "colortable": _kept(
        "read from colors.txt beside the nomenclature: copy it there under that name if it has another"
    ),
    "listtile": _kept("all tiles found are read and mosaicked by date; give EXTENT or MASK for a part"),
    "runs": _runs,
    "randomseed": _seed,
    "ratio": _ratio,
    "splitgroundtruth": _no_split,
    "proj": _proj,
    "spatialresolution": _resolution,
    "temporalresolution": _step,
    "startdate": _date("START"),
    "enddate": _date("END"),
    "autodate": _kept("the dates found decide, unless START and END are set"),
    "usegapfilling": _kept(
        "networks that need regular dates are given filled ones; ltae reads the clouds' mask instead"
    ),
    "features": _features,
    "classifier": _classifier,
    "deeplearningparameters": _deep,
    "enableprobabilitymap": _probabilities,
    "enableautocontext": _is_default(
        "enableautocontext", "has no counterpart; twinns reads the surroundings of a pixel"
    ),
    "regionpath": _regions,
    "regionfield": _region_field,
    "enableboundaryfusion": _boundaries,
    "classifmode": _is_default("classifmode", "one model maps a region, however large it is"),
    "removeoutputpath": _kept("nothing is removed: a step whose inputs have not changed is skipped, others made anew"),
    "removetmpfiles": _kept("what steps make stays in WORK_FOLDER; delete it when you are done"),
    "firststep": _kept("steps whose inputs have not changed are skipped by themselves"),
    "laststep": _kept("run the algorithms one by one to stop after any of them"),
    "logfilelevel": _kept("the log of the toolbox holds it all"),
}

# Settings that have no counterpart, with what to do instead.
_WITHOUT = {
    "s1path": "names an .ini for raw Sentinel-1 products: give Landloom calibrated, orthorectified images (S1Tiling, "
    "Planetary Computer, ASF HyP3, Copernicus) in the folder of INPUT",
    "userfeatpath": "layers without dates: add them with addrasters, KIND static",
    "l5path": "Landsat 5 is not read",
    "l5pathold": "Landsat 5 is not read",
    "l8pathold": "Theia's old Landsat form is not read: download the products in the new form or USGS Collection 2",
    "boundaryinteriorbuffersize": "set BLEND, in metres: half of it lies on each side of a border",
    "boundaryexteriorbuffersize": "set BLEND, in metres: half of it lies on each side of a border",
    "modeoutsideregionsplit": "a region has one model, however large it is: cut its polygon for more",
    "cloudthreshold": "pixels with few clear dates stay: VALID_COUNT of preparestack shows where they are",
    "mergefinalclassifications": "give RUNS members whose mean is the map, or join maps with fuse",
    "options": "options of OTB's classifiers have no meaning here",
    "sampleselection": "MAX_PER_CLASS and MAX_PER_GROUP bound the samples",
    "sampleaugmentation": "networks augment by themselves, and CLASS_WEIGHTS balances classes",
    "samplemanagement": "samples are not copied between regions",
    "cropmix": "give train the samples of several years instead",
    "dempstershafersaropticalfusion": "networks fuse the sensors themselves; fuse joins maps",
    "dempstershafersaroptfusion": "networks fuse the sensors themselves; fuse joins maps",
    "additionalfeatures": "write expressions of bands in INDICES",
    "keepbands": "all bands are used; give addrasters fewer to leave some out",
}
_SECTIONS = {
    "dimred": "descriptors of a network take the place of reduced dimensions",
    "coregistration": "see coregister",
    "simplification": "see regularise and vectorise",
    "externalfeatures": "functions of the user's own are not run; write expressions in INDICES",
    "scikitmodelsparameters": "scikit-learn's other models are not used",
    "iota2featureextraction": "features are made at reading, in reflectance",
}
