"""Where the boxes of a directed graph go, so that arrows run downwards and nothing lies on anything else.

In the steps of Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures" (1981):
each box gets a level below those it depends on; an arrow that passes a level gets a lane there, as a box of its own;
levels are sorted by the mean places of the neighbours, which leaves few crossings; then every box moves to the median
of its neighbours, as near as the order and the distances on its level allow.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

_LANE = 10.0  # width that an arrow gets on a level that it passes
_SWEEPS, _STRAIGHTENING = 8, 4
# What a box's place is worth against a lane's, and an arrow between boxes against one from a box to a lane: the main
# path stays straight, and the one that passes it, once beside it, too.
_BOX_WORTH, _STRAIGHT, _ALONG_LANE = 1e4, 4.0, 8.0


class Edge(NamedTuple):
    """An arrow between two boxes, given by their numbers, the tail's below the head's.

    Attributes:
        tail, head: the boxes.
        leaves, enters: where, to the right of the middle of the tail's lower and the head's upper side.
    """

    tail: int
    head: int
    leaves: float = 0.0
    enters: float = 0.0


@dataclass(frozen=True)
class Layout:
    """A finished drawing, whose upper left corner is (0, 0) and whose y grows downwards.

    Attributes:
        width, height: of all.
        corners: (x, y) of the upper left corner of each box.
        paths: for each edge its points from the tail's lower to the head's upper side. The first two are the ends of a
            vertical line, the next of one too, and so on; what lies between two lines lies between two levels, where no
            box is.
    """

    width: float
    height: float
    corners: list[tuple[float, float]]
    paths: list[list[tuple[float, float]]]


class _Link(NamedTuple):
    other: int
    shift: float  # from the middle of the one to the middle of the other, so that the arrow is vertical
    worth: float


def arranged(
    sizes: Sequence[tuple[float, float]],
    edges: Sequence[Edge],
    first: Collection[int] = (),
    last: Collection[int] = (),
    *,
    gap: tuple[float, float] = (24.0, 26.0),
) -> Layout:
    """Lays out a graph.

    Args:
        sizes: width and height of each box.
        edges: arrows.
        first, last: boxes that must be on the first and on the last level.
        gap: least distance of boxes beside each other and of levels.
    """
    ranks = _ranks(len(sizes), edges, first, last)
    levels: list[list[int]] = [[] for _ in range(max(ranks) + 1)]
    for box, rank in enumerate(ranks):
        levels[rank].append(box)
    widths = [width for width, _ in sizes]
    lanes = _with_lanes(levels, widths, ranks, edges)
    above, below = _links(len(widths), len(sizes), lanes, edges)
    levels = _sorted(levels, above, below)
    middles = _placed(levels, widths, len(sizes), above, below, gap[0])
    left = min(x - w / 2 for x, w in zip(middles, widths, strict=True))
    middles = [x - left for x in middles]
    heights = [max(sizes[i][1] if i < len(sizes) else 0 for i in level) for level in levels]
    tops = [sum(heights[:rank]) + rank * gap[1] for rank in range(len(levels))]
    corners = [(middles[i] - w / 2, tops[ranks[i]]) for i, (w, _) in enumerate(sizes)]
    paths = []
    for edge, lane in zip(edges, lanes, strict=True):
        rank = ranks[edge.tail]
        x = middles[edge.tail] + edge.leaves
        path = [(x, tops[rank] + sizes[edge.tail][1]), (x, tops[rank] + heights[rank])]
        for passed in lane:
            rank += 1
            path += [(middles[passed], tops[rank]), (middles[passed], tops[rank] + heights[rank])]
        paths.append([*path, (middles[edge.head] + edge.enters, tops[rank + 1])])
    right = max(x + w / 2 for x, w in zip(middles, widths, strict=True))
    return Layout(right, tops[-1] + heights[-1], corners, paths)


def _ranks(count: int, edges: Sequence[Edge], first: Collection[int], last: Collection[int]) -> list[int]:
    """The level of each box: one below the lowest that it depends on; a source is just above what it leads to."""
    ranks = [0] * count
    for edge in sorted(edges, key=lambda e: e.head):
        ranks[edge.head] = max(ranks[edge.head], ranks[edge.tail] + 1)
    for source in set(range(count)) - {e.head for e in edges} - set(first):
        ranks[source] = min((ranks[e.head] - 1 for e in edges if e.tail == source), default=0)
    lowest = max(ranks)
    return [lowest if box in last else rank for box, rank in enumerate(ranks)]


def _with_lanes(
    levels: list[list[int]], widths: list[float], ranks: Sequence[int], edges: Sequence[Edge]
) -> list[list[int]]:
    """Adds lanes to levels and widths; for each edge those that it takes."""
    lanes = []
    for edge in edges:
        passed = range(ranks[edge.tail] + 1, ranks[edge.head])
        lanes.append(list(range(len(widths), len(widths) + len(passed))))
        for rank, lane in zip(passed, lanes[-1], strict=True):
            levels[rank].append(lane)
            widths.append(_LANE)
    return lanes


def _links(
    count: int, boxes: int, lanes: Sequence[Sequence[int]], edges: Sequence[Edge]
) -> tuple[list[list[_Link]], list[list[_Link]]]:
    """For each box and lane its neighbours on the level above and below."""
    above: list[list[_Link]] = [[] for _ in range(count)]
    below: list[list[_Link]] = [[] for _ in range(count)]
    for edge, lane in zip(edges, lanes, strict=True):
        stops = [edge.tail, *lane, edge.head]
        for upper, lower in pairwise(stops):
            shift = (edge.leaves if upper == edge.tail else 0) - (edge.enters if lower == edge.head else 0)
            worth = 1.0
            if upper < boxes and lower < boxes:
                worth = _STRAIGHT
            elif upper >= boxes and lower >= boxes:
                worth = _ALONG_LANE
            above[lower].append(_Link(upper, shift, worth))
            below[upper].append(_Link(lower, -shift, worth))
    return above, below


def _sorted(levels: list[list[int]], above: list[list[_Link]], below: list[list[_Link]]) -> list[list[int]]:
    """The levels in the order with the fewest crossings that sweeps down and up come by."""
    best, fewest = levels, _crossings(levels, below)
    now = levels
    for sweep in range(_SWEEPS):
        if fewest == 0:
            break
        links, step = (above, 1) if sweep % 2 == 0 else (below, -1)
        now = [list(level) for level in now]
        for rank in range(len(now))[::step][1:]:
            place = {item: i for i, item in enumerate(now[rank - step])}
            means = {
                item: float(np.mean([place[link.other] for link in links[item]])) if links[item] else float(i)
                for i, item in enumerate(now[rank])
            }
            now[rank].sort(key=means.__getitem__)
        crossings = _crossings(now, below)
        if crossings < fewest:
            best, fewest = now, crossings
    return best


def _crossings(levels: list[list[int]], below: list[list[_Link]]) -> int:
    count = 0
    for upper, lower in pairwise(levels):
        place = {item: i for i, item in enumerate(lower)}
        ends = np.array([place[p] for item in upper for p in sorted((x.other for x in below[item]), key=place.get)])  # type: ignore[arg-type]
        # arrows in the order of their tails cross where their heads are in the other order
        count += sum(int((ends[:i] > end).sum()) for i, end in enumerate(ends))
    return count


def _placed(
    levels: list[list[int]],
    widths: Sequence[float],
    boxes: int,
    above: list[list[_Link]],
    below: list[list[_Link]],
    gap: float,
) -> list[float]:
    """The middle of each box and lane."""
    distances = [[(widths[a] + widths[b]) / 2 + gap for a, b in pairwise(x)] for x in levels]
    worths = [[_BOX_WORTH if item < boxes else 1.0 for item in level] for level in levels]
    middles = [0.0] * len(widths)
    for level, distance in zip(levels, distances, strict=True):
        start = -sum(distance) / 2
        for item, x in zip(level, np.cumsum([start, *distance]).tolist(), strict=True):
            middles[item] = x
    for sweep in range(2 * _SWEEPS):
        links, others, step = (above, below, 1) if sweep % 2 == 0 else (below, above, -1)
        settled = sweep >= 2 * _SWEEPS - _STRAIGHTENING
        for rank in range(len(levels))[::step][1:]:
            level = levels[rank]
            # at last, an arrow turns at its ends and not where it passes a level: the end of a lane stays with the lane
            pulls = [
                others[item] if settled and item >= boxes and links[item][0].other < boxes else links[item]
                for item in level
            ]
            targets = [_median([(middles[x.other] + x.shift, x.worth) for x in pull]) for pull in pulls]
            known = [middles[item] if t is None else t for item, t in zip(level, targets, strict=True)]
            for item, x in zip(level, apart(known, distances[rank], worths[rank]), strict=True):
                middles[item] = x
    return middles


def _median(weighted: Sequence[tuple[float, float]]) -> float | None:
    """The weighted median; the middle of the two that share it."""
    if not weighted:
        return None
    half, reached = sum(w for _, w in weighted) / 2, 0.0
    ordered = sorted(weighted)
    for i, (value, weight) in enumerate(ordered):
        reached += weight
        if reached == half:
            return (value + ordered[i + 1][0]) / 2
        if reached > half:
            break
    return value


def apart(targets: Sequence[float], distances: Sequence[float], worths: Sequence[float]) -> list[float]:
    """Places as near to `targets` as their distances allow, by the sum of the squares times `worths`.

    Less the distances this is a regression by a function that does not fall, which pooling of neighbours in the wrong
    order solves exactly (Ayer et al., "An empirical distribution function for sampling with incomplete information",
    1955).

    Args:
        targets: where each would like to be, in order.
        distances: least ones between neighbours, one fewer.
        worths: positive.

    Example:
        >>> apart([0.0, 0.0, 100.0], [10.0, 10.0], [1.0, 1.0, 1.0])
        [-5.0, 5.0, 100.0]
    """
    offsets = np.concatenate([[0.0], np.cumsum(distances)]) if len(targets) > 1 else np.zeros(1)
    pools: list[tuple[float, float, int]] = []  # mean, worth, how many
    for target, offset, worth in zip(targets, offsets, worths, strict=True):
        mean, total, count = float(target - offset), worth, 1
        while pools and pools[-1][0] > mean:
            before, more, size = pools.pop()
            mean, total, count = (before * more + mean * total) / (more + total), more + total, size + count
        pools.append((mean, total, count))
    means = np.repeat([mean for mean, _, _ in pools], [count for _, _, count in pools])
    return (means + offsets).tolist()
