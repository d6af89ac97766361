"""Several sample folders (years, sites) as one set of samples, drawn from one folder at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import Nomenclature
from ..base.progress import Progress
from ..base.words import counted
from ..stack.sensors import OPTICAL, RADAR, SensorSpec, Series, matches

if TYPE_CHECKING:
    from ..networks.inputs import InputRecipe
    from ..samples.store import SampleStore


class SamplePool:
    """Sample stores side by side; classes are matched by code, groups of different stores are different.

    Args:
        stores: one or more.
        sensors: names to use, ``S1`` meaning every ``S1_*``; empty = all.
        progress: told what does not agree but can be used.

    Attributes:
        specs: sensor name -> specification: scale and unit of the first store, the dates of all.
        nomenclature: the classes of all stores, in the order of their codes.
        labels: ``[N]`` int64 indices into it.
        groups: ``[N]`` int64; places that occur in several stores (the same field in two years) are one group.
        polygons: ``[N]`` int64.
        split, fold: ``[N]``, as the stores say.
        part: ``[N]``, the store of each sample.
        of_sets: whether a sample is a set of pixels, as in a subclass.

    Raises:
        LandloomError: if the stores do not fit together, or a sensor asked for is missing.
    """

    of_sets = False

    def __init__(
        self,
        stores: Sequence[SampleStore],
        sensors: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> None:
        if not stores:
            raise LandloomError(tr("SAMPLES is empty: give at least one folder made by extractsamples."))
        self.stores = list(stores)
        progress = progress or Progress()
        self.sensors = self._choose(sensors, progress)
        self._check_alike()
        self.specs: dict[str, SensorSpec] = {name: self._joined_spec(name) for name in self.sensors}
        self.nomenclature = self._join_classes(progress)
        labels = []
        for store in self.stores:
            places = [self.nomenclature.index_of(int(code)) for code in store.nomenclature.codes]
            labels.append(np.array(places, dtype=np.int64)[store.labels])
        self.labels = np.concatenate(labels)
        self.groups = _side_by_side([store.groups for store in self.stores])
        self.polygons = _side_by_side([store.polygons for store in self.stores])
        self.split = np.concatenate([store.split for store in self.stores])
        self.fold = np.concatenate([store.fold for store in self.stores])
        sizes = [len(store) for store in self.stores]
        self.part = np.repeat(np.arange(len(sizes)), sizes)
        self._first = np.concatenate([[0], np.cumsum(sizes)])
        if not len(self.labels):
            raise LandloomError(tr("{name} holds no samples: run extractsamples again.").format(name=self.name(0)))
        self._join_same_places(progress)

    @classmethod
    def of(cls, stores: SamplePool | SampleStore | Sequence[SampleStore], sensors: Sequence[str] = ()) -> SamplePool:
        """A pool of one store, of several, or the pool itself."""
        if isinstance(stores, SamplePool):
            return stores
        return cls(list(stores) if isinstance(stores, list | tuple) else [stores], sensors)  # type: ignore[list-item]

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, part: int) -> str:
        """A store in words."""
        folder = self.stores[part].folder
        return f"Sample folder {part + 1}" if folder is None else str(folder)

    @property
    def season(self) -> tuple[str, int | None]:
        """Start (month-day) of the season and campaign year, those of the first store."""
        return self.stores[0].season

    @property
    def halo(self) -> int:
        """The pixels of context that every store has."""
        return min(store.halo for store in self.stores)

    def batch(self, indices: np.ndarray, halo: int = 0, symmetries: np.ndarray | None = None) -> dict[str, Series]:
        """The raw series of samples of one store; see ``SampleStore.batch``."""
        store, own = self._own(indices)
        if symmetries is None:
            return store.batch(own, halo=halo, sensors=list(self.sensors))
        return store.patches(own, halo, list(self.sensors), symmetries)

    def centres(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Sensor name -> ``[B, T]``: where samples of one store are valid themselves."""
        store, own = self._own(indices)
        return store.centres(own, list(self.sensors))

    def _own(self, indices: np.ndarray) -> tuple[SampleStore, np.ndarray]:
        """The one store of some samples, and their indices in it."""
        indices = np.asarray(indices)
        part = int(self.part[indices[0]])
        if (self.part[indices] != part).any():
            raise ValueError("a batch is drawn from one store at a time")
        return self.stores[part], indices - self._first[part]

    def in_first_units(self, indices: np.ndarray, halo: int = 0) -> dict[str, Series]:
        """:meth:`batch`, with raw values such that the scale and offset of ``specs`` hold for them."""
        batch = self.batch(indices, halo)
        store = self.stores[int(self.part[indices[0]])]
        for name, series in batch.items():
            mine, wanted = store.specs[name], self.specs[name]
            if (mine.scale, mine.offset) != (wanted.scale, wanted.offset):
                physical = series.values * np.float32(mine.scale) + np.float32(mine.offset)
                batch[name] = series._replace(values=(physical - np.float32(wanted.offset)) / np.float32(wanted.scale))
        return batch

    def store_specs(self, part: int) -> dict[str, SensorSpec]:
        """The specifications of a store's own sensors, of those in use."""
        return {name: self.stores[part].specs[name] for name in self.sensors}

    def first(self, part: int) -> int:
        """The index of a store's first sample."""
        return int(self._first[part])

    def bind(self, recipe: InputRecipe) -> list[InputRecipe]:
        """The recipe for the raw values of each store."""
        return [recipe.bind(self.store_specs(part))[0] for part in range(len(self.stores))]

    def split_by_store(self, indices: np.ndarray) -> Iterator[np.ndarray]:
        """The indices of each store that has some, in the order given."""
        for part in range(len(self.stores)):
            own = indices[self.part[indices] == part]
            if len(own):
                yield own

    def batches(self, indices: np.ndarray, size: int, random: np.random.Generator | None = None) -> list[np.ndarray]:
        """Cut indices into batches of nearly equal size, each from one store; shuffled if ``random`` is given."""
        cut = []
        for own in self.split_by_store(np.asarray(indices)):
            ordered = random.permutation(own) if random is not None else own
            count = max(1, round(len(ordered) / size)) if random is not None else -(-len(ordered) // size)
            cut.extend(np.array_split(ordered, count))
        if random is not None:
            cut = [cut[i] for i in random.permutation(len(cut))]
        return cut

    def _joined_spec(self, name: str) -> SensorSpec:
        first = self.stores[0].specs[name]
        if len(self.stores) == 1:
            return first
        dated = sorted(
            {
                (int(day), date)
                for store in self.stores
                for day, date in zip(store.specs[name].days, store.specs[name].dates, strict=True)
            }
        )
        return first.with_dates(tuple(date for _, date in dated), tuple(day for day, _ in dated))

    def _choose(self, asked: Sequence[str], progress: Progress) -> tuple[str, ...]:
        common = [name for name in self.stores[0].specs if all(name in store.specs for store in self.stores)]
        dropped = sorted({name for store in self.stores for name in store.specs} - set(common))
        if dropped:
            progress.warning(
                tr("Not in every sample folder, so not used: {dropped}.").format(dropped=", ".join(dropped))
            )
        if asked:
            for choice in asked:
                if not any(matches(name, choice) for name in common):
                    raise LandloomError(
                        tr("SENSORS asks for {choice}, but the samples have: {common}.").format(
                            choice=choice, common=", ".join(common) or "no common sensor"
                        )
                    )
            common = [name for name in common if any(matches(name, choice) for choice in asked)]
        if not common:
            raise LandloomError(tr("The sample folders have no sensor in common: extract them with the same sensors."))
        return tuple(common)

    def _check_alike(self) -> None:
        first = self.stores[0]
        for part, store in enumerate(self.stores[1:], start=1):
            if store.season[0] != first.season[0]:
                raise LandloomError(
                    tr(
                        "{name} counts days from {season}, {name2} from {season2}: make both stacks with the "
                        "same SEASON_START."
                    ).format(name=self.name(part), season=store.season[0], name2=self.name(0), season2=first.season[0])
                )
            for sensor in self.sensors:
                mine, theirs = first.specs[sensor], store.specs[sensor]
                for what, a, b in (
                    ("kind", mine.kind, theirs.kind),
                    ("bands", mine.bands, theirs.bands),
                    ("unit", mine.unit, theirs.unit),
                    ("calibration", mine.calibration, theirs.calibration),
                ):
                    if a != b:
                        raise LandloomError(
                            tr(
                                "{sensor} has {what} {words} in {name} but {words2} in {name2}: train on "
                                "folders of equal sensors, or leave this one out with SENSORS."
                            ).format(
                                sensor=sensor,
                                what=what,
                                words=_words(a),
                                name=self.name(0),
                                words2=_words(b),
                                name2=self.name(part),
                            )
                        )

    def _join_same_places(self, progress: Progress) -> None:
        """One group, one part: a field that lies in several folders must not train in one year and test in another."""
        systems = [store.crs_wkt for store in self.stores]
        if len(self.stores) == 1 or not all(systems):
            return
        places = []
        for store in self.stores:
            units = 1e5 if len(store) and max(np.abs(store.x).max(), np.abs(store.y).max()) <= 360 else 1.0  # degrees
            system = np.full(len(store), systems.index(store.crs_wkt))
            places.append(np.stack([system, np.rint(store.x * units), np.rint(store.y * units)], axis=1))
        _, place = np.unique(np.concatenate(places), axis=0, return_inverse=True)
        # Join groups that share a place until nothing changes: each takes the lowest number among those it meets.
        groups = self.groups.copy()
        while True:
            lowest = np.full(place.max() + 1, len(self.labels) + groups.max())
            np.minimum.at(lowest, place.reshape(-1), groups)
            of_group = np.arange(groups.max() + 1)
            np.minimum.at(of_group, groups, lowest[place.reshape(-1)])
            joined = of_group[groups]
            if (joined == groups).all():
                break
            groups = joined
        _, first = np.unique(groups, return_index=True)
        owner = dict(zip(groups[first], first, strict=True))
        source = np.array([owner[group] for group in groups])
        moved = int(((self.split != self.split[source]) | (self.fold != self.fold[source])).sum())
        shared = len(np.unique(self.groups)) - len(first)
        self.groups, self.split, self.fold = groups, self.split[source], self.fold[source]
        if shared:
            progress.info(
                tr(
                    "{shared} groups lie in several sample folders: each is one group, with the part and fold "
                    "that it has in the first of them ({moved} samples changed part or fold)."
                ).format(shared=shared, moved=moved)
            )

    def _join_classes(self, progress: Progress) -> Nomenclature:
        if len(self.stores) == 1:
            return self.stores[0].nomenclature
        found = {one.code: one for one in self.stores[0].nomenclature.classes}
        for part, store in enumerate(self.stores[1:], start=1):
            code_of = {known.name.casefold(): known.code for known in found.values()}
            for one in store.nomenclature.classes:
                known = found.setdefault(one.code, one)
                elsewhere = code_of.get(one.name.casefold(), one.code)
                if elsewhere != one.code:
                    raise LandloomError(
                        tr(
                            "'{name}' has code {code} in {name2} but {elsewhere} in a folder before it: "
                            "extract both with one NOMENCLATURE table, since classes are matched by code."
                        ).format(name=one.name, code=one.code, name2=self.name(part), elsewhere=elsewhere)
                    )
                if known.name.casefold() != one.name.casefold():
                    progress.warning(
                        tr(
                            "Class {code} is '{known}' elsewhere but '{name}' in {name2}: classes are matched "
                            "by code, the name '{known}' is kept."
                        ).format(code=one.code, known=known.name, name=one.name, name2=self.name(part))
                    )
        return Nomenclature(tuple(found[code] for code in sorted(found)))


def _side_by_side(numbers: list[np.ndarray]) -> np.ndarray:
    """Numbers of several stores, made different."""
    result, first = [], 0
    for own in numbers:
        _, dense = np.unique(own, return_inverse=True)
        result.append(dense.reshape(-1).astype(np.int64) + first)
        first += int(dense.max(initial=-1)) + 1
    return np.concatenate(result)


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(one) for one in value)
    return str(value) or "none"


def kinds_of(specs: dict[str, SensorSpec]) -> dict[str, str]:
    """Sensor name -> kind."""
    return {name: spec.kind for name, spec in specs.items()}


def describe(specs: dict[str, SensorSpec]) -> str:
    """The sensors in words, such as ``S2 (24 dates, 10 bands)``."""
    return ", ".join(
        f"{name} ({counted(spec.days, 'date')}, {counted(spec.bands, 'band')})"
        if spec.kind in (OPTICAL, RADAR)
        else f"{name} ({counted(spec.bands, 'layer')})"
        for name, spec in specs.items()
    )
