"""The borders between the regions of a raster as arcs: lines from node to node, shared by the two regions beside them.

Polygons put together from arcs have neither gaps nor overlaps, whatever is done to the arcs, as long as none cross.

Coordinates here are whole numbers, twice the column and row of pixel corners, so that the middle of a pixel's side is a
point too and no test needs a tolerance. Arcs run with the higher label on their left as seen on the screen (rows
downwards).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..base.optional import need

_EAST, _SOUTH, _WEST, _NORTH = range(4)  # clockwise on the screen: + 1 is a turn to the right
_STEP = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])


@dataclass
class Arcs:
    """Arcs of one strip or of several.

    Attributes:
        points: ``[P, 2]`` int64, twice column and row.
        offsets: ``[A + 1]``: arc k is ``points[offsets[k]:offsets[k + 1]]``; a closed one ends with its first point.
        left, right: ``[A]`` int64, labels; 0 is outside.
        leaves, arrives: ``[A]`` int8, direction of the first and last pixel side.
        closed: ``[A]`` bool, a ring that meets no third region.
    """

    points: np.ndarray
    offsets: np.ndarray
    left: np.ndarray
    right: np.ndarray
    leaves: np.ndarray
    arrives: np.ndarray
    closed: np.ndarray

    def __len__(self) -> int:
        return len(self.left)

    def take(self, chosen: np.ndarray) -> Arcs:
        """Some of them."""
        index, offsets = gather(self.offsets, chosen)
        return Arcs(
            self.points[index],
            offsets,
            self.left[chosen],
            self.right[chosen],
            self.leaves[chosen],
            self.arrives[chosen],
            self.closed[chosen],
        )

    @classmethod
    def joined(cls, several: list[Arcs]) -> Arcs:
        """All in one."""
        starts = np.cumsum([0, *(len(one.points) for one in several)])
        offsets = [one.offsets[:-1] + start for one, start in zip(several, starts, strict=False)]
        return cls(
            np.concatenate([one.points for one in several]),
            np.concatenate([*offsets, starts[-1:]]),
            *(
                np.concatenate([getattr(one, name) for one in several])
                for name in ("left", "right", "leaves", "arrives", "closed")
            ),
        )


def gather(offsets: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of all elements of the chosen pieces, and the offsets of these pieces among them."""
    lengths = offsets[chosen + 1] - offsets[chosen]
    ends = np.concatenate([[0], np.cumsum(lengths)])
    index = np.arange(ends[-1]) - np.repeat(ends[:-1] - offsets[chosen], lengths)
    return index, ends


def arcs_of(above: np.ndarray, labels: np.ndarray, row: int, last: bool) -> Arcs:
    """The arcs of a strip as wide as the raster, along the pixel sides.

    A strip has the upper and left sides of its pixels, the right ones at the raster's right border and, if it is the
    last, the lower ones. Arcs are cut where they pass to another strip.

    Args:
        above: ``[W]`` the row of labels above; zeros at the top.
        labels: ``[H, W]`` labels, each a region connected by pixel sides; 0 is outside.
        row: first row of the strip.
        last: whether nothing follows.
    """
    height, width = labels.shape
    wide = np.zeros((height + 2, width + 2), np.int64)
    wide[0, 1:-1] = above
    wide[1:-1, 1:-1] = labels
    if not last:
        wide[-1] = wide[-2]  # sides below belong to the next strip
    starts, directions, lefts, rights = [], [], [], []
    # Sides between a pixel and the one to its left: southwards, the left hand is the eastern pixel.
    west, east = wide[1:-1, :-1], wide[1:-1, 1:]
    y, x = np.nonzero(west != east)
    a, b = west[y, x], east[y, x]
    south = b > a
    starts.append((y + ~south) * (width + 1) + x)
    directions.append(np.where(south, _SOUTH, _NORTH))
    lefts.append(np.maximum(a, b))
    rights.append(np.minimum(a, b))
    # Sides between a pixel and the one above: eastwards, the left hand is the northern pixel.
    north, below = wide[:-1, 1:-1], wide[1:, 1:-1]
    y, x = np.nonzero(north != below)
    a, b = north[y, x], below[y, x]
    eastward = a > b
    starts.append(y * (width + 1) + x + ~eastward)
    directions.append(np.where(eastward, _EAST, _WEST))
    lefts.append(np.maximum(a, b))
    rights.append(np.minimum(a, b))
    start, direction = np.concatenate(starts), np.concatenate(directions)
    end = start + np.array([1, width + 1, -1, -(width + 1)])[direction]
    corners = (height + 1) * (width + 1)
    degree = np.bincount(start, minlength=corners) + np.bincount(end, minlength=corners)
    node = degree != 2
    # Above the strip lie sides of the strip before it, which end here.
    if row > 0:
        upper = np.concatenate([[0], above, [0]])
        node[: width + 1] |= upper[:-1] != upper[1:]
    # Where a line turns on the raster's frame it keeps its corner, so that the frame stays straight.
    turns = np.zeros(corners, np.int8)
    turns[start] = direction
    turned = np.zeros(corners, bool)
    turned[end] = turns[end] != direction
    frame = turned.reshape(height + 1, width + 1)
    frame[1 if row == 0 else 0 : -1 if last else None, 1:-1] = False
    node |= turned
    order, offsets, closed = _chains(start, end, node)
    return _along(order, offsets, closed, start, direction, np.concatenate(lefts), np.concatenate(rights), width, row)


def _chains(start: np.ndarray, end: np.ndarray, node: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Order directed sides into chains from node to node: their order, the offsets of the chains, which are closed."""
    count = len(start)
    from_corner = np.full(len(node), -1, np.int64)
    from_corner[start] = np.arange(count)
    before = np.full(count, -1, np.int64)  # the side that leads to this one
    goes_on = np.flatnonzero(~node[end])
    before[from_corner[end[goes_on]]] = goes_on
    sparse, graph = need("scipy.sparse", "Polygons"), need("scipy.sparse.csgraph", "Polygons")
    linked = np.flatnonzero(before >= 0)
    links = sparse.coo_matrix((np.ones(len(linked), bool), (linked, before[linked])), shape=(count, count))
    chains, chain = graph.connected_components(links, directed=False)
    has_start = np.zeros(chains, bool)
    has_start[chain[before < 0]] = True
    closed = ~has_start
    first = np.full(chains, -1, np.int64)
    first[chain[::-1]] = np.arange(count - 1, -1, -1)
    before[first[closed]] = -1
    rank = _rank(before)
    order = np.lexsort((rank, chain))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(chain, minlength=chains))])
    return order, offsets, closed


def _rank(before: np.ndarray) -> np.ndarray:
    """How many elements lead to each one, by doubling pointers."""
    count = len(before)
    root = np.where(before < 0, np.arange(count), before)
    distance = (before >= 0).astype(np.int64)
    while True:
        further = distance[root]
        if not further.any():
            return distance
        distance += further
        root = root[root]


def _along(
    order: np.ndarray,
    offsets: np.ndarray,
    closed: np.ndarray,
    start: np.ndarray,
    direction: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    width: int,
    row: int,
) -> Arcs:
    """Arcs from ordered sides: every pixel corner on the way is a point."""
    y, x = np.divmod(start[order], width + 1)
    corners = np.stack([2 * x, 2 * (y + row)], axis=1)
    last = offsets[1:] - 1
    ends = corners[last] + 2 * _STEP[direction[order[last]]]
    count = len(closed)
    points = np.empty((len(order) + count, 2), np.int64)
    place = np.arange(len(order)) + np.repeat(np.arange(count), np.diff(offsets))
    points[place] = corners
    new_offsets = offsets + np.arange(count + 1)
    points[new_offsets[1:] - 1] = ends
    first = order[offsets[:-1]]
    return Arcs(
        points,
        new_offsets,
        left[first],
        right[first],
        direction[first].astype(np.int8),
        direction[order[last]].astype(np.int8),
        closed,
    )


@dataclass
class Rings:
    """Polygons of finished regions.

    Attributes:
        points: ``[P, 2]`` int64, twice column and row.
        offsets: ``[R + 1]`` of the rings, each closed; the outer ring of a region comes first, then its holes.
        region: ``[R]`` label of each ring, in rising order.
    """

    points: np.ndarray
    offsets: np.ndarray
    region: np.ndarray


def rings_of(arcs: Arcs, wanted: np.ndarray) -> Rings:
    """Put the rings of some regions together; all their arcs must be there.

    Where a region touches itself at a corner the ring turns right, which gives two rings that touch instead of one that
    touches itself: valid by the rules of simple features.

    Args:
        arcs: arcs.
        wanted: ``[L]`` bool by label.
    """
    forward, backward = np.flatnonzero(wanted[arcs.left]), np.flatnonzero(wanted[arcs.right])
    arc = np.concatenate([forward, backward])
    reverse = np.arange(len(arc)) >= len(forward)
    region = np.where(reverse, arcs.right[arc], arcs.left[arc])
    first, last = arcs.points[arcs.offsets[arc]], arcs.points[arcs.offsets[arc + 1] - 1]
    source = np.where(reverse[:, None], last, first)
    target = np.where(reverse[:, None], first, last)
    leaves = np.where(reverse, (arcs.arrives[arc] + 2) % 4, arcs.leaves[arc])
    arrives = np.where(reverse, (arcs.leaves[arc] + 2) % 4, arcs.arrives[arc])
    following = _following(region, source, target, leaves, arrives, arcs.closed[arc])
    before = np.empty(len(arc), np.int64)
    before[following] = np.arange(len(arc))
    sparse, graph = need("scipy.sparse", "Polygons"), need("scipy.sparse.csgraph", "Polygons")
    links = sparse.coo_matrix((np.ones(len(arc), bool), (np.arange(len(arc)), following)), shape=(len(arc),) * 2)
    count, ring = graph.connected_components(links, directed=False)
    start = np.full(count, -1, np.int64)
    start[ring[::-1]] = np.arange(len(arc) - 1, -1, -1)
    before[start] = -1
    order = np.lexsort((_rank(before), ring))
    index, piece_offsets = _pieces(arcs.offsets, arc[order], reverse[order])
    points = arcs.points[index]
    members = np.concatenate([[0], np.cumsum(np.bincount(ring, minlength=count))])
    # Pieces share their ends: each drops its last point, and every ring gets its first one again.
    keep = np.ones(len(points), bool)
    keep[piece_offsets[1:] - 1] = False
    keep[piece_offsets[members[1:]] - 1] = True
    sizes = np.add.reduceat(keep.astype(np.int64), piece_offsets[members[:-1]])
    points = points[keep]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return _sorted(points, offsets, region[start])


def _following(
    region: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
    leaves: np.ndarray,
    arrives: np.ndarray,
    closed: np.ndarray,
) -> np.ndarray:
    """For each directed arc round its region the next one."""
    big = int(max(source.max(initial=0), target.max(initial=0))) + 1
    number = np.unique(region, return_inverse=True)[1]
    both = np.concatenate([source, target])
    nodes, corner = np.unique(both[:, 1] * big + both[:, 0], return_inverse=True)
    key_source = number * len(nodes) + corner[: len(source)]
    key_target = number * len(nodes) + corner[len(source) :]
    order = np.argsort(key_source, kind="stable")
    ordered = key_source[order]
    low = np.searchsorted(ordered, key_target, side="left")
    high = np.searchsorted(ordered, key_target, side="right")
    following = order[np.minimum(low, len(order) - 1)]
    pinched = high - low > 1
    other = order[np.minimum(low + 1, len(order) - 1)]
    turn = (arrives + 1) % 4
    swap = pinched & (leaves[following] != turn) & (leaves[other] == turn)
    following = np.where(swap, other, following)
    return np.where(closed, np.arange(len(region)), following)


def _pieces(offsets: np.ndarray, chosen: np.ndarray, reverse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`gather`, some pieces backwards."""
    index, ends = gather(offsets, chosen)
    lengths = np.diff(ends)
    mirrored = np.repeat(offsets[chosen] + offsets[chosen + 1] - 1, lengths) - index
    return np.where(np.repeat(reverse, lengths), mirrored, index), ends


def _sorted(points: np.ndarray, offsets: np.ndarray, region: np.ndarray) -> Rings:
    x, y = points[:, 0], points[:, 1]
    cross = np.zeros(len(points), np.int64)
    cross[:-1] = x[:-1] * y[1:] - x[1:] * y[:-1]
    cross[offsets[1:] - 1] = 0
    area = np.add.reduceat(cross, offsets[:-1]) if len(region) else cross
    # With rows downwards and the region on the left, outer rings have a negative sum.
    order = np.lexsort((area > 0, region))
    index, new_offsets = gather(offsets, order)
    return Rings(points[index], new_offsets, region[order])
