"""Polygons of regions against shapely and the pixels themselves: no gaps, no overlaps, valid, whatever the strips."""

from __future__ import annotations

import numpy as np
import pytest
import shapely.wkb
from hypothesis import given
from hypothesis import strategies as st
from shapely.errors import WKBReadingError
from shapely.geometry import Point, Polygon
from shapely.ops import unary_union
from skimage.measure import label


def grid_of(labels):
    from landloom.model.base.raster import spatial_reference
    from landloom.model.stack.grid import Grid

    wkt = spatial_reference("EPSG:32738").ExportToWkt()
    return Grid(wkt, (1000.0, 10.0, 0.0, 5000.0, 0.0, -10.0), labels.shape[1], labels.shape[0])


def polygons(labels, tolerance, rows):
    """Label -> polygon in pixels, rows downwards."""
    from landloom.model.objects.polygons import polygons_of, wkb_of

    grid = grid_of(labels)
    found = {}
    order = []
    for rings in polygons_of(lambda r, n: labels[r : r + n], grid, int(labels.max()), tolerance, rows):
        regions = np.unique(rings.region)
        order += regions.tolist()
        for region, wkb in zip(regions, wkb_of(rings, grid), strict=True):
            shape = shapely.wkb.loads(wkb)
            corners = [[((x - 1000) / 10, (5000 - y) / 10) for x, y in ring.coords] for ring in
                       (shape.exterior, *shape.interiors)]  # fmt: skip
            assert int(region) not in found
            found[int(region)] = Polygon(corners[0], corners[1:])
    return found, order


def patches(seed, height, width, kind):
    """Maps of several textures: noise, blocks, islands in one class, smooth bands."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (height, width))
    if kind == 1:
        codes = codes.repeat(2, 0).repeat(2, 1)[:height, :width]
    elif kind == 2:
        codes = np.where(rng.random(codes.shape) < 0.85, 1, codes)
    elif kind == 3:
        smooth = gaussian_filter(rng.normal(size=codes.shape), 1.5)
        codes = 1 + (smooth > 0) + (smooth > 0.12)
    return label(codes, connectivity=1, background=0)


cases = st.builds(patches, st.integers(0, 99999), st.integers(1, 24), st.integers(1, 24), st.sampled_from([0, 1, 2, 3]))


@given(cases, st.integers(1, 25))
def test_without_tolerance_polygons_are_the_pixels(labels, rows):
    found, order = polygons(labels, 0.0, rows)
    assert sorted(found) == list(range(1, labels.max() + 1))
    for number, shape in found.items():
        inside = labels == number
        assert shape.is_valid and shape.area == inside.sum()
        holes = label(np.pad(~inside, 1, constant_values=True), connectivity=2).max() - 1
        assert len(shape.interiors) >= holes
        y, x = np.argwhere(inside)[0]
        assert shape.contains(Point(x + 0.5, y + 0.5))
    from landloom.model.objects.polygons import written_order

    last = np.zeros(labels.max() + 1, int)
    for row in range(len(labels)):
        last[labels[row]] = row
    assert written_order(last, rows, len(labels)).tolist() == order


@pytest.mark.parametrize("tolerance", [0.2, 0.5, 1.0, 1.9])
@given(labels=cases, rows=st.integers(1, 25))
def test_simplified_polygons_leave_no_gap_and_do_not_overlap(tolerance, labels, rows):
    found, _ = polygons(labels, tolerance, rows)
    assert sorted(found) == list(range(1, labels.max() + 1))
    assert all(shape.is_valid and shape.area > 0 for shape in found.values())
    if not found:
        return
    union = unary_union(list(found.values()))
    assert union.area == pytest.approx(sum(shape.area for shape in found.values()), abs=1e-9)  # no overlap
    data = labels > 0
    if data.all():
        assert union.geom_type == "Polygon" and not union.interiors  # no gap
        assert union.area == pytest.approx(labels.size, abs=1e-9)  # the frame of the map stays as it is
    # Neighbours still share a line, and nothing moved far.
    border = unary_union([shape.boundary for shape in polygons(labels, 0.0, rows)[0].values()])
    for shape in found.values():
        for ring in (shape.exterior, *shape.interiors):
            assert all(border.distance(Point(p)) <= 0.5 + 1e-9 for p in ring.coords)


def test_shortcuts_that_cross_are_taken_back(monkeypatch):
    """Without the check, lines cross on these maps: the check is what keeps polygons apart."""
    from landloom.model.objects import simplify

    def faults():
        count = 0
        for seed in range(20):
            try:
                found, _ = polygons(patches(seed, 24, 24, 2 if seed % 2 else 0), 1.9, 24)
            except WKBReadingError:  # a ring of two points
                count += 1
                continue
            shapes = list(found.values())
            overlap = sum(shape.area for shape in shapes) - unary_union([s.buffer(0) for s in shapes]).area
            count += not all(shape.is_valid for shape in shapes) or abs(overlap) > 1e-9
        return count

    assert faults() == 0
    monkeypatch.setattr(simplify, "_conflicts", lambda *_: np.zeros(0, int))
    assert faults() > 5


def test_a_single_pixel_keeps_its_middles():
    """Not a triangle: the four middles of its sides."""
    labels = np.ones((5, 5), int)
    labels[2, 2] = 2
    found, _ = polygons(labels, 1.0, 5)
    assert found[2].area == 0.5 and len(found[2].exterior.coords) == 5


def test_stairs_become_straight():
    """A diagonal border of 40 steps becomes a line with few points; the sides of the map stay straight."""
    rows, columns = np.indices((40, 40))
    found, _ = polygons(1 + (columns > rows).astype(int), 0.5, 40)
    assert all(len(shape.exterior.coords) <= 8 for shape in found.values())


def test_a_large_map_in_strips_is_quick_and_bounded(tmp_path):
    """Lines of finished regions are let go: what waits belongs to regions of the last row."""
    from landloom.model.objects import polygons as module

    labels = label(np.random.default_rng(0).integers(1, 4, (300, 100)), connectivity=1, background=0)
    sizes = []
    original = module.rings_of

    def watched(arcs, wanted):
        sizes.append(len(arcs))
        return original(arcs, wanted)

    module.rings_of = watched
    try:
        found, _ = polygons(labels, 0.5, 30)
    finally:
        module.rings_of = original
    assert len(found) == labels.max() and max(sizes) < 1.6 * min(sizes[1:-1])
