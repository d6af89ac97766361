"""The land itself: rivers, villages, roads, woods and plots, on a grid of 5 m."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..base.optional import need
from ..base.progress import Progress
from .constants import MAX_FIELD, MIN_FIELD, Climate
from .noise import stream, surface

FINE = 5.0  # metres, the grid on which the land is drawn
HECTARE = FINE * FINE / 1e4  # of one fine pixel
STRATA = ("farm", "open", "forest", "water", "built")
FARM, OPEN, FOREST, WATER, BUILT = range(5)


@dataclass
class Landscape:
    """What lies where.

    Attributes:
        parcel: ``[2N, 2N]`` int32, the parcel of each fine pixel; 0 is the margins between blocks of fields.
        crown: ``[2N, 2N]`` bool, under a separate tree crown.
        cover: ``[P]`` int16, index into the climate's covers, by parcel.
        area: ``[P]`` float32, hectares.
        centre: ``[P, 2]`` float32, row and column in fine pixels.
        village: ``[P]`` int16, the nearest village; ``distance``: ``[P]`` float32, metres to it.
        villages: ``[V, 2]`` float, row and column in fine pixels.
        wetness: ``[2N, 2N]`` float32, high in valley bottoms.
    """

    parcel: np.ndarray
    crown: np.ndarray
    cover: np.ndarray
    area: np.ndarray
    centre: np.ndarray
    village: np.ndarray
    distance: np.ndarray
    villages: np.ndarray
    wetness: np.ndarray

    @property
    def cover_map(self) -> np.ndarray:
        """``[2N, 2N]`` int16, the cover of each fine pixel (crowns do not change it)."""
        return self.cover[self.parcel]


def draw(size: int, climate: Climate, seed: int, progress: Progress) -> Landscape:
    """Draw a landscape of ``size`` pixels of 10 m a side."""
    shape = (2 * size, 2 * size)
    river_distance = _river(shape, climate, seed)
    relief = surface(stream(seed, "relief"), shape, 320, 3.2)
    wetness = (1.6 * np.exp(-river_distance / 350.0) - 0.55 * relief).astype(np.float32)
    progress.check()
    stratum = np.full(shape, FARM, np.int8)
    villages = _villages(shape, climate, seed, river_distance)
    from_village, village = _nearest(shape, villages)
    remote = np.clip(from_village / 900.0, 0, 2.0)
    wood = surface(stream(seed, "wood"), shape, 170, 3.0, 6) + 0.9 * remote - 0.4 * wetness
    _take(stratum, wood, climate.forest_share, FOREST)
    grass = surface(stream(seed, "grass"), shape, 200, 3.0, 6) + 0.8 * remote - 0.6 * wetness
    _take(stratum, grass, climate.open_share, OPEN)
    progress.check()
    lake = surface(stream(seed, "lake"), shape, 70, 3.6, 8) + 0.8 * wetness + np.minimum(remote, 0.3)
    _take(stratum, lake, climate.lake_share, WATER)
    stratum[river_distance <= 0] = WATER
    homes = from_village / climate.village_radius + 0.5 * surface(stream(seed, "homes"), shape, 16, 2.0)
    stratum[(homes < 1.0) & (stratum != WATER)] = BUILT
    stratum[_roads(shape, villages, seed) & (stratum != WATER)] = BUILT
    progress.check()

    parcel, block = _plots(stratum, from_village, climate, seed, progress)
    _margins(parcel, block, stratum, climate, seed)
    parcel, kinds = _drop_small(parcel, stratum)
    progress.check()
    count = len(kinds)
    area = (np.bincount(parcel.ravel(), minlength=count) * HECTARE).astype(np.float32)
    rows, columns = np.indices(shape, dtype=np.float32)
    pixels = np.maximum(np.bincount(parcel.ravel(), minlength=count), 1)
    centre = np.stack(
        [np.bincount(parcel.ravel(), weights=axis.ravel(), minlength=count) / pixels for axis in (rows, columns)], 1
    ).astype(np.float32)
    middle = np.clip(np.rint(centre).astype(int), 0, shape[0] - 1)
    parcel_wetness = np.bincount(parcel.ravel(), weights=wetness.ravel(), minlength=count) / pixels
    cover = _covers(kinds, area, centre, parcel_wetness, climate, seed, shape)
    crown = _crowns(cover, parcel, climate, seed)
    return Landscape(
        parcel, crown, cover, area, centre, village[middle[:, 0], middle[:, 1]].astype(np.int16),
        from_village[middle[:, 0], middle[:, 1]].astype(np.float32), villages, wetness,
    )  # fmt: skip


def _river(shape: tuple[int, int], climate: Climate, seed: int) -> np.ndarray:
    """Metres to the bank of a winding river; negative in the water."""
    ndimage = need("scipy.ndimage", "The sample scene")
    rng = stream(seed, "river")
    rows, columns = shape
    course = surface(rng, (rows, 8), 300, 4.0, 30)[:, 0]
    bed = (
        columns * rng.uniform(0.3, 0.7)
        + course * columns * 0.12
        + (np.arange(rows) - rows / 2) * rng.uniform(-0.5, 0.5)
    )
    line = np.ones(shape, bool)
    for row in range(rows):
        here, there = bed[row], bed[min(row + 1, rows - 1)]
        first, last = sorted((round(float(here)), round(float(there))))
        line[row, max(first, 0) : max(min(last + 1, columns), 0)] = False
    if line.all():
        line[:, columns // 2] = False
    half_width = 14.0 if climate.name == "tropical" else 11.0
    width = half_width * (1 + 0.25 * surface(rng, shape, 60, 3.0, 10))
    return ndimage.distance_transform_edt(line).astype(np.float32) * FINE - width


def _villages(shape: tuple[int, int], climate: Climate, seed: int, river_distance: np.ndarray) -> np.ndarray:
    """Places of the villages, apart from each other and from the river."""
    rng = stream(seed, "villages")
    km2 = shape[0] * shape[1] * HECTARE / 100.0
    wanted = max(3, round(km2 * climate.village_density))
    apart = 0.55 * np.sqrt(shape[0] * shape[1] / wanted)
    places: list[np.ndarray] = []
    for _ in range(4000):
        place = rng.uniform(0.06, 0.94, 2) * shape
        row, column = place.astype(int)
        if river_distance[row, column] > 80 and all(np.hypot(*(place - other)) > apart for other in places):
            places.append(place)
        if len(places) == wanted:
            break
        apart *= 0.999
    return np.array(places).reshape(-1, 2)


def _nearest(shape: tuple[int, int], places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Metres to the nearest place, and which it is."""
    distance = np.full(shape, np.inf, np.float32)
    which = np.zeros(shape, np.int16)
    rows, columns = np.arange(shape[0], dtype=np.float32)[:, None], np.arange(shape[1], dtype=np.float32)[None, :]
    for index, (row, column) in enumerate(places.astype(np.float32)):
        here = np.hypot(rows - row, columns - column) * np.float32(FINE)
        nearer = here < distance
        distance[nearer], which[nearer] = here[nearer], index
    return distance, which


def _take(stratum: np.ndarray, score: np.ndarray, share: float, kind: int) -> None:
    """Give the share of the area with the highest score, as far as it is still farmland, to ``kind``."""
    stratum[(score > np.quantile(score, 1 - share)) & (stratum == FARM)] = kind


def _roads(shape: tuple[int, int], villages: np.ndarray, seed: int) -> np.ndarray:
    """Tracks of about 10 m between neighbouring villages and out of the scene."""
    rng = stream(seed, "roads")
    road = np.zeros(shape, bool)
    ends = [
        (a, b)
        for a in range(len(villages))
        for b in _two_nearest(villages, a)
        if a < b or a not in _two_nearest(villages, b)
    ]
    lines = [(villages[a], villages[b]) for a, b in ends]
    for place in villages[:2]:
        lines.append((place, np.array([rng.choice([-5.0, shape[0] + 5.0]), rng.uniform(0, shape[1])])))
    for start, end in lines:
        length = int(np.hypot(*(end - start))) * 2 + 2
        along = np.linspace(0, 1, length)
        across = np.array([-(end - start)[1], (end - start)[0]]) / max(length / 2, 1)
        bend = sum(rng.normal(0, 9.0 / k) * np.sin(np.pi * k * along) for k in (1, 2, 3, 5))
        points = start + along[:, None] * (end - start) + bend[:, None] * across
        for dr, dc in ((0, 0), (0, 1), (1, 0)):
            row, column = (points + np.array([dr, dc])).astype(int).T
            inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
            road[row[inside], column[inside]] = True
    return road


def _two_nearest(villages: np.ndarray, index: int) -> list[int]:
    order = np.argsort(np.hypot(*(villages - villages[index]).T))
    return [int(i) for i in order[1:3]]


def _plots(
    stratum: np.ndarray, from_village: np.ndarray, climate: Climate, seed: int, progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """Cut each stratum into blocks with one orientation, and these into plots; returns parcel and block."""
    ndimage = need("scipy.ndimage", "The sample scene")
    rng = stream(seed, "plots")
    shape = stratum.shape
    blocks = max(4, int(stratum.size * HECTARE / 14.0))
    seeds = np.ones(shape, bool)
    at = rng.uniform(0, 1, (blocks, 2)) * shape
    seeds[at[:, 0].astype(int), at[:, 1].astype(int)] = False
    nearest = ndimage.distance_transform_edt(seeds, return_distances=False, return_indices=True)
    block = (nearest[0].astype(np.int64) * shape[1] + nearest[1]).astype(np.int64)
    rows, columns = np.indices(shape, dtype=np.int32)
    bend = [np.rint(3.0 * surface(rng, shape, 50, 3.5, 8)).astype(np.int32) for _ in range(2)]
    block = block[np.clip(rows + bend[0], 0, shape[0] - 1), np.clip(columns + bend[1], 0, shape[1] - 1)]
    _, block = np.unique(block, return_inverse=True)
    block = block.reshape(shape).astype(np.int32)
    region = block * len(STRATA) + stratum
    order = np.argsort(region, axis=None, kind="stable")
    bounds = np.flatnonzero(np.diff(region.ravel()[order])) + 1
    parcel = np.zeros(stratum.size, np.int32)
    following = 1
    near = np.clip(from_village / 500.0, 0.0, 3.0).ravel()
    wobble_row = rows.ravel() + 0.8 * surface(rng, shape, 24, 3.0, 4).ravel()
    wobble_column = columns.ravel() + 0.8 * surface(rng, shape, 24, 3.0, 4).ravel()
    for pixels in np.split(order, bounds):
        progress.check()
        kind = int(stratum.ravel()[pixels[0]])
        median = climate.field_median if kind == FARM else 1.2
        target = median * np.exp(rng.normal(0, climate.field_sigma)) * (0.7 + 0.45 * near[pixels].mean())
        angle = rng.uniform(0, np.pi)
        following = _split(pixels, parcel, following, target, angle, wobble_row, wobble_column, rng)
    return parcel.reshape(shape), block


def _split(
    pixels: np.ndarray, parcel: np.ndarray, following: int, target: float, angle: float,
    rows: np.ndarray, columns: np.ndarray, rng: np.random.Generator,
) -> int:  # fmt: skip
    """Split a region across its longer side again and again, until the pieces are of the wished size."""
    waiting = [pixels]
    while waiting:
        piece = waiting.pop()
        area = len(piece) * HECTARE
        if area <= 2.4 * MIN_FIELD or area <= min(0.96 * MAX_FIELD, target * rng.uniform(0.8, 2.0)):
            parcel[piece] = following
            following += 1
            continue
        turn = angle + rng.normal(0, 0.06)
        along = rows[piece] * np.cos(turn) + columns[piece] * np.sin(turn)
        across = columns[piece] * np.cos(turn) - rows[piece] * np.sin(turn)
        axis = along if np.ptp(along) * rng.uniform(0.6, 1.1) > np.ptp(across) else across
        cut = np.quantile(axis, rng.uniform(0.36, 0.64))
        side = axis <= cut
        if side.all() or not side.any():
            parcel[piece] = following
            following += 1
            continue
        waiting += [piece[side], piece[~side]]
    return following


def _margins(parcel: np.ndarray, block: np.ndarray, stratum: np.ndarray, climate: Climate, seed: int) -> None:
    """Grassy or wooded margins of 5 to 10 m round some blocks of fields."""
    rng = stream(seed, "margins")
    with_margin = rng.random(int(block.max()) + 1) < climate.fringe
    edge = np.zeros(block.shape, bool)
    edge[:, :-1] |= block[:, :-1] != block[:, 1:]
    edge[:-1] |= block[:-1] != block[1:]
    parcel[edge & with_margin[block] & (stratum == FARM)] = 0


def _drop_small(parcel: np.ndarray, stratum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fields under the smallest size join the margins; parcels are numbered anew; returns them and their strata."""
    count = np.bincount(parcel.ravel())
    kind = np.zeros(len(count), np.int8)
    kind[parcel.ravel()] = stratum.ravel()
    small = (count * HECTARE < MIN_FIELD) & (kind == FARM)
    small[0] = True
    number = np.zeros(len(count), np.int32)
    kept = np.flatnonzero(~small & (count > 0))
    number[kept] = np.arange(1, len(kept) + 1)
    return number[parcel], np.concatenate([[OPEN], kind[kept]]).astype(np.int8)


def _covers(
    kinds: np.ndarray, area: np.ndarray, centre: np.ndarray, wetness: np.ndarray, climate: Climate, seed: int,
    shape: tuple[int, int],
) -> np.ndarray:  # fmt: skip
    """Choose a cover for each parcel: by stratum; on farmland by share, wetness, size and what the neighbours do."""
    rng = stream(seed, "covers")
    cover = np.zeros(len(kinds), np.int16)
    middle = np.clip(centre.astype(int), 0, shape[0] - 1)
    for kind, stratum in enumerate(STRATA):
        choices = [i for i, c in enumerate(climate.covers) if c.stratum == stratum]
        here = np.flatnonzero(kinds == kind)
        if not len(here):
            continue
        shares = np.array([climate.covers[i].share or 1.0 for i in choices])
        score = np.tile(np.log(shares / shares.sum()), (len(here), 1))
        for column, index in enumerate(choices):
            one = climate.covers[index]
            habit = surface(rng, (shape[0] // 4 + 1, shape[1] // 4 + 1), 40, 2.5)[
                middle[here, 0] // 4, middle[here, 1] // 4
            ]
            score[:, column] += one.wet * wetness[here] + one.large * np.log(np.maximum(area[here], 0.1)) + 0.6 * habit
        score += rng.gumbel(0, 0.7, score.shape)
        if kind == FARM:
            score = _balance(score, shares / shares.sum())
        cover[here] = np.array(choices)[score.argmax(1)]
    cover[0] = next(i for i, c in enumerate(climate.covers) if c.stratum == "open")
    return cover


def _balance(score: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Shift the scores until each class gets about its share of the parcels, at any size of the scene."""
    for _ in range(40):
        got = np.bincount(score.argmax(1), minlength=len(shares)) / len(score)
        score = score - 0.5 * np.log((got + 0.01) / (shares + 0.01))
    return score


def _crowns(cover: np.ndarray, parcel: np.ndarray, climate: Climate, seed: int) -> np.ndarray:
    """Separate tree crowns, 5 to 10 m wide, as dense as the cover has them (it varies between parcels)."""
    rng = stream(seed, "crowns")
    density = np.array([c.crowns for c in climate.covers])[cover] * rng.lognormal(0, 0.4, len(cover))
    density[0] = 0.25
    clumps = np.exp(0.5 * surface(rng, parcel.shape, 20, 2.0))
    seeds = rng.random(parcel.shape) < density[parcel] * clumps / 2.6
    crown = seeds.copy()
    crown[1:] |= seeds[:-1] & (rng.random(seeds[:-1].shape) < 0.7)
    crown[:, 1:] |= seeds[:, :-1] & (rng.random(seeds[:, :-1].shape) < 0.7)
    return crown
