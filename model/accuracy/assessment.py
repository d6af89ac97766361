"""What an assessment is asked and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..base.intervals import GroupBootstrap
from ..base.metrics import Scores
from ..samples.reference import Feature
from .design import AUTO, Design
from .estimators import Estimates
from .mapreading import MapCounts
from .matching import Matching

# What became of a feature of the reference data.
RIGHT, WRONG, TRAINED, NO_DATA = "right", "wrong", "trained", "no data"


@dataclass(frozen=True)
class AssessmentSettings:
    """What the user chose; see the parameters of ``assess``."""

    class_field: str
    group_field: str = ""
    nomenclature: str = ""
    level: int = 0
    samples: tuple[str, ...] = ()
    model: str = ""
    confidence: str = ""
    design: str = AUTO
    stratum_field: str = ""
    probability_field: str = ""
    reference_crs: str = ""
    seed: int = 0
    memory_mb: int = 1024


@dataclass
class Objects:
    """The features of the reference data, one by one; arrays are ``[F]``.

    Attributes:
        features: with their geometry in the map's CRS.
        label: class by the reference.
        predicted: class of most of its pixels in the map; -1 where it has no data.
        agreement: share of its pixels with data that have the class of the reference, 0..1; NaN without any.
        confidence: mean of its pixels, percent; NaN without.
        pixels: with data.
        no_data: pixels without.
        group: what is independent of one another.
        trained: whether a model has read it, so that it is not scored.
    """

    features: list[Feature]
    label: np.ndarray
    predicted: np.ndarray
    agreement: np.ndarray
    confidence: np.ndarray
    pixels: np.ndarray
    no_data: np.ndarray
    group: np.ndarray
    trained: np.ndarray

    @property
    def scored(self) -> np.ndarray:
        """``[F]`` bool: those that count."""
        return ~self.trained & (self.pixels > 0)

    def verdict(self, index: int) -> str:
        """``right``, ``wrong``, ``trained`` or ``no data``."""
        if self.trained[index]:
            return TRAINED
        if not self.pixels[index]:
            return NO_DATA
        return RIGHT if self.predicted[index] == self.label[index] else WRONG


@dataclass(frozen=True)
class Confusion:
    """Two classes that are mixed up.

    Attributes:
        reference, mapped: class indices.
        pixels: of the reference class mapped as the other.
        places: features with most of them, and how many pixels each.
        features: how many features have any.
    """

    reference: int
    mapped: int
    pixels: int
    places: tuple[tuple[int, int], ...]
    features: int


@dataclass
class Assessment:
    """What was found.

    Attributes:
        map_path, reference_path: the inputs.
        settings: what the user chose.
        matching: the classes.
        counts: of the whole map.
        is_point: whether the reference are points.
        matrix: ``[K, K]`` pixels, rows the reference, columns the map.
        pixel: scores per pixel.
        polygon_matrix, polygon: the same per polygon (class of most of its pixels); None for points.
        bootstrap: of groups, for the scores per pixel; None with a single group.
        polygon_bootstrap: likewise per polygon.
        estimates: from a probability sample; None from a purposive one.
        design: the probability sample; None otherwise.
        hectares: that the estimates of area refer to.
        objects: the features.
        confusions: the worst first.
        independence: what is known of it, a sentence.
        no_data: pixels of scored features without data in the map.
        trained_by_sample: whether a part of the reference itself trained the model, not places chosen without it.
        warnings: sentences.
    """

    map_path: str
    reference_path: str
    settings: AssessmentSettings
    matching: Matching
    counts: MapCounts
    is_point: bool
    matrix: np.ndarray
    pixel: Scores
    objects: Objects
    crs_wkt: str
    polygon_matrix: np.ndarray | None = None
    polygon: Scores | None = None
    bootstrap: GroupBootstrap | None = None
    polygon_bootstrap: GroupBootstrap | None = None
    estimates: Estimates | None = None
    design: Design | None = None
    hectares: float = 0.0
    confusions: list[Confusion] = field(default_factory=list)
    independence: str = ""
    no_data: int = 0
    groups: int = 0
    trained_by_sample: bool = False
    warnings: list[str] = field(default_factory=list)
