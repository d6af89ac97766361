"""The random forest: fitted by scikit-learn, kept as plain arrays, evaluated by us."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.optional import need
from .forestbins import real_thresholds, to_ranks
from .registry import check_settings

# iota2's settings for its forest
DEFAULTS: dict[str, Any] = {"trees": 100, "depth": 25, "min_samples_split": 5}
CLASS_WEIGHTS = ("none", "balanced")
SMALL = 2_000_000  # training values: such a forest is grown within a second or two
RANKED = 10_000  # from so many samples on, features are ranked before the trees grow
BLOCK = 2048  # pixels: their features stay in the cache while the trees go by

_ARRAYS: dict[str, Any] = {
    "start": np.int32,
    "left": np.int32,
    "right": np.int32,
    "feature": np.int32,
    "threshold": np.float64,
    "leaf": np.float32,
}


@dataclass(frozen=True)
class Forest:
    """Trees as flat arrays.

    Attributes:
        start: ``[trees + 1]``, where each tree's nodes begin; a node's children are counted from there.
        left, right: ``[nodes]`` children, always after their parent; in a leaf ``left`` is -1 and ``right`` its row
            of ``leaf``.
        feature: ``[nodes]`` the column compared; 0 for a leaf.
        threshold: ``[nodes]`` float64; a pixel goes left where ``float32(value) <= threshold``.
        leaf: ``[leaves, classes]`` float32 class shares.
        features: number of columns.
    """

    start: np.ndarray
    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    leaf: np.ndarray
    features: int
    _compiled: list[Any] = field(default_factory=list, compare=False, repr=False)
    _lock: Any = field(default_factory=threading.Lock, compare=False, repr=False)

    @property
    def trees(self) -> int:
        """Number of trees."""
        return len(self.start) - 1

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.leaf.shape[1]

    def to_tensors(self) -> dict[str, np.ndarray]:
        """The arrays by name, for a file."""
        tensors = {name: getattr(self, name) for name in _ARRAYS}
        tensors["features"] = np.array([self.features], dtype=np.int32)
        return tensors

    @classmethod
    def from_tensors(cls, tensors: dict[str, np.ndarray]) -> Forest:
        """The inverse of :meth:`to_tensors`; whatever could make an evaluation run wild is refused.

        Raises:
            LandloomError: if arrays are missing or do not describe trees.
        """
        try:
            forest = _assemble(tensors, int(tensors["features"][0]))
        except (KeyError, IndexError, TypeError) as error:
            raise LandloomError(
                tr("The model file is damaged: a forest lacks arrays. Train the model again.")
            ) from error
        if any(getattr(forest, name).dtype != dtype for name, dtype in _ARRAYS.items()) or not _is_sound(forest):
            raise LandloomError(tr("The model file is damaged: its arrays are not trees. Train the model again."))
        return forest

    # ------------------------------------------------------------------ evaluation

    def predict_proba(self, features: np.ndarray, threads: int = 1) -> np.ndarray:
        """Class probabilities: the mean over the trees of the class shares of the leaves.

        Args:
            features: ``[n, F]`` float32; column-major memory is quickest.
            threads: pixel blocks computed at a time.

        Returns:
            ``[n, K]`` float32.
        """
        features = np.asarray(features, dtype=np.float32)
        if features.ndim != 2 or features.shape[1] != self.features:
            raise ValueError(f"the forest takes {self.features} features, not {features.shape}")
        result = np.empty((len(features), self.classes), dtype=np.float32)
        evaluate = self._evaluate_compiled if self._compile() else self._evaluate

        def block(start: int) -> None:
            result[start : start + BLOCK] = evaluate(features[start : start + BLOCK])

        starts = range(0, len(features), BLOCK)
        if threads > 1 and len(starts) > 1:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(block, starts))
        else:
            for start in starts:
                block(start)
        return result

    def _evaluate(self, features: np.ndarray) -> np.ndarray:
        """Numpy alone: all pixels go down one tree together, level by level."""
        columns = np.asfortranarray(features).T
        flat, pixels = columns.reshape(-1), features.shape[0]
        total = np.zeros((pixels, self.classes), dtype=np.float32)
        for tree in range(self.trees):
            nodes = slice(self.start[tree], self.start[tree + 1])
            left, right, feature = self.left[nodes], self.right[nodes], self.feature[nodes]
            threshold = self.threshold[nodes]
            at = np.zeros(pixels, dtype=np.int32)
            active = np.arange(pixels) if left[0] >= 0 else np.zeros(0, dtype=np.int64)
            while len(active):
                node = at[active]
                goes_left = flat[feature[node].astype(np.int64) * pixels + active] <= threshold[node]
                node = np.where(goes_left, left[node], right[node])
                at[active] = node
                active = active[left[node] >= 0]
            total += self.leaf[right[at]]
        return total / np.float32(self.trees)

    # ------------------------------------------------------------------ scikit-learn's compiled trees

    def _evaluate_compiled(self, features: np.ndarray) -> np.ndarray:
        total = np.zeros((len(features), self.classes), dtype=np.float32)
        shares = np.empty_like(total)
        for tree, rows in self._compiled:
            # mode="clip" lets take write straight into its output; no row is out of range
            np.take(self.leaf, rows[tree.apply(features)], axis=0, out=shares, mode="clip")
            total += shares
        return total / np.float32(self.trees)

    def _compile(self) -> bool:
        """Rebuild scikit-learn's compiled trees, if it is there and they agree with ours on random points."""
        with self._lock:
            if self._compiled:
                return self._compiled[0] is not None
            trees: list[Any] = [None]
            try:
                trees = [_compiled_tree(self, tree) for tree in range(self.trees)]
            except Exception:  # whatever another version of it dislikes: our own evaluation is there
                trees = [None]
            self._compiled.extend(trees)
            if trees[0] is None:
                return False
            probe = self._probe()
            if not np.allclose(self._evaluate_compiled(probe), self._evaluate(probe), atol=1e-6):
                self._compiled[:] = [None]
                return False
            return True

    def _probe(self, points: int = 64) -> np.ndarray:
        """Points near the thresholds, where a wrong comparison would show."""
        generator = np.random.default_rng(0)
        probe = np.zeros((points, self.features), dtype=np.float32)
        inner = np.flatnonzero(self.left >= 0)
        if len(inner):
            for point in range(points):
                chosen = generator.choice(inner, size=min(len(inner), 4 * self.features))
                probe[point, self.feature[chosen]] = self.threshold[chosen]
        return probe


def _compiled_tree(forest: Forest, tree: int) -> tuple[Any, np.ndarray]:
    from sklearn.tree import DecisionTreeClassifier
    from sklearn.tree._tree import Tree

    nodes = slice(forest.start[tree], forest.start[tree + 1])
    left, right = forest.left[nodes], forest.right[nodes]
    leaf = left < 0
    # The layout of a node differs between versions: take it from a tree of the version at hand.
    pattern = DecisionTreeClassifier(max_depth=1).fit([[0.0], [1.0]], [0, 1]).tree_.__getstate__()["nodes"]
    rows = np.zeros(len(left), dtype=pattern.dtype)
    rows["left_child"] = np.where(leaf, -1, left)
    rows["right_child"] = np.where(leaf, -1, right)
    rows["feature"] = np.where(leaf, -2, forest.feature[nodes])
    rows["threshold"] = np.where(leaf, -2.0, forest.threshold[nodes])
    rows["n_node_samples"] = 1
    rows["weighted_n_node_samples"] = 1.0
    compiled = Tree(forest.features, np.array([1], dtype=np.intp), 1)
    values = np.zeros((len(rows), 1, 1), dtype=np.float64)
    compiled.__setstate__({"max_depth": 0, "node_count": len(rows), "nodes": rows, "values": values})
    return compiled, right


def _is_sound(forest: Forest) -> bool:
    start, left, right = forest.start, forest.left, forest.right
    nodes = len(left)
    if start.ndim != 1 or len(start) < 2 or start[0] != 0 or start[-1] != nodes or np.any(np.diff(start) < 1):
        return False
    if any(getattr(forest, name).shape != (nodes,) for name in ("left", "right", "feature", "threshold")):
        return False
    if forest.leaf.ndim != 2 or forest.leaf.shape[1] < 1 or forest.features < 1:
        return False
    size = np.repeat(np.diff(start), np.diff(start))
    place = np.arange(nodes) - np.repeat(start[:-1], np.diff(start))
    leaf = left == -1
    inner_sound = (left > place) & (right > place) & (left < size) & (right < size)  # so that no path turns back
    leaf_sound = (right >= 0) & (right < len(forest.leaf))
    return bool(
        np.all(np.where(leaf, leaf_sound, inner_sound))
        and np.all((forest.feature >= 0) & (forest.feature < forest.features))
        and np.all(np.isfinite(forest.threshold))
        and np.all(np.isfinite(forest.leaf))
    )


def fit_forest(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int | None = None,
    settings: dict[str, Any] | None = None,
    class_weights: str = "none",
    seed: int = 0,
    threads: int = 2,
    check: Callable[[], None] = lambda: None,
) -> Forest:
    """Fit a forest with scikit-learn.

    Args:
        features: ``[n, F]`` float32 without NaN.
        labels: ``[n]`` class indices; classes without a sample get probability 0.
        classes: number of classes; None = the largest label + 1.
        settings: ``trees``, ``depth``, ``min_samples_split``.
        class_weights: ``none``, or ``balanced`` (each class weighs the same).
        seed: the same seed gives the same forest whatever the number of threads.
        threads: trees grown at a time.
        check: called every few trees; what it raises ends the fit.

    Raises:
        LandloomError: if scikit-learn is missing or a setting is wrong.
    """
    ensemble = need("sklearn.ensemble", "The random forest")
    chosen = check_settings("randomforest", DEFAULTS, settings or {})
    if class_weights not in CLASS_WEIGHTS:
        raise LandloomError(
            tr("CLASS_WEIGHTS is {class_weights!r}: the forest knows {class_weights2}.").format(
                class_weights=class_weights, class_weights2=", ".join(CLASS_WEIGHTS)
            )
        )
    labels = np.asarray(labels, dtype=np.int64)
    if not len(labels):
        raise LandloomError(tr("There is no training sample for the random forest: extract samples first."))
    features = np.asarray(features, dtype=np.float32)
    weights = None
    if class_weights == "balanced":  # scikit-learn's own "balanced", in a form that growing in steps takes
        found, counts = np.unique(labels, return_counts=True)
        weights = {int(label): len(labels) / (len(found) * count) for label, count in zip(found, counts, strict=True)}
    model = ensemble.RandomForestClassifier(
        n_estimators=0,
        max_depth=chosen["depth"],
        min_samples_split=max(2, chosen["min_samples_split"]),
        class_weight=weights,
        random_state=seed,
        n_jobs=threads,  # it grows trees in threads, never in processes
        warm_start=True,
    )
    cuts = None
    if len(labels) >= RANKED:
        features, cuts = to_ranks(features, threads)
    # Grown in steps so that it can be stopped; the trees are those of a forest grown at once.
    step = chosen["trees"] if features.size < SMALL else max(4, 8 * threads)
    while model.n_estimators < chosen["trees"]:
        check()
        model.n_estimators = min(model.n_estimators + step, chosen["trees"])
        model.fit(features, labels)
    return from_sklearn(model, classes or int(labels.max()) + 1, cuts)


def from_sklearn(model: Any, classes: int, cuts: list[np.ndarray] | None = None) -> Forest:
    """Take over the trees of a fitted ``RandomForestClassifier``.

    Args:
        model: its labels are indices below ``classes``.
        classes: number of classes.
        cuts: the cut points of each column, if it was fitted on ranks.
    """
    parts: dict[str, list[np.ndarray]] = {name: [] for name in _ARRAYS}
    start, leaves = [0], 0
    for estimator in model.estimators_:
        tree = estimator.tree_
        leaf = tree.children_left < 0
        rows = np.cumsum(leaf) - 1 + leaves
        shares = np.zeros((int(leaf.sum()), classes), dtype=np.float64)
        shares[:, np.asarray(model.classes_, dtype=np.int64)] = tree.value[leaf, 0, :]
        parts["leaf"].append(shares / shares.sum(axis=1, keepdims=True))
        parts["left"].append(np.where(leaf, -1, tree.children_left))
        parts["right"].append(np.where(leaf, rows, tree.children_right))
        parts["feature"].append(np.where(leaf, 0, tree.feature))
        thresholds = tree.threshold if cuts is None else real_thresholds(tree, cuts)
        parts["threshold"].append(np.where(leaf, 0.0, thresholds))
        leaves += int(leaf.sum())
        start.append(start[-1] + len(leaf))
    parts["start"].append(np.array(start))
    arrays = {name: np.concatenate(parts[name]).astype(dtype) for name, dtype in _ARRAYS.items()}
    return _assemble(arrays, int(model.n_features_in_))


def _assemble(arrays: dict[str, np.ndarray], features: int) -> Forest:
    names = ("start", "left", "right", "feature", "threshold", "leaf")
    start, left, right, feature, threshold, leaf = (arrays[name] for name in names)
    return Forest(start, left, right, feature, threshold, leaf, features)
