"""The trie of a probe's strings: each distinct prefix once.

A node is a token that follows a prefix. Nodes stand in depth-first order, so that a node's parent
is the last node before it that is one shallower, and its descendants follow it without a gap:
tokens and depths alone are the whole trie.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

COMPARED_AT_ONCE = 2**20  # strings, to bound memory


@dataclass(frozen=True)
class Trie:
    """`tokens`, `depths` (int32 [nodes], depth-first; a first token has depth 0) and `leaves`
    (int32 [strings]: the node of each string's last token)."""

    tokens: np.ndarray
    depths: np.ndarray
    leaves: np.ndarray

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def levels(self) -> list[np.ndarray]:
        """The nodes of each depth, in order."""
        order = np.argsort(self.depths, kind="stable").astype(np.int32)
        return np.split(order, np.cumsum(np.bincount(self.depths))[:-1])

    @cached_property
    def parents(self) -> np.ndarray:
        """int32 [nodes]: the node before each; -1 for first tokens."""
        parents = np.full(len(self), -1, dtype=np.int32)
        for above, nodes in pairwise(self.levels):
            parents[nodes] = above[np.searchsorted(above, nodes) - 1]
        return parents

    @cached_property
    def ends(self) -> np.ndarray:
        """int32 [nodes]: one past the last descendant, so `a` is on the path to `b` (or is `b`)
        where a <= b < ends[a]."""
        ends = np.arange(1, len(self) + 1, dtype=np.int32)
        for nodes in reversed(self.levels[1:]):
            ends[self.parents[nodes]] = ends[nodes]  # of several children the last one stays
        return ends

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each string, int32 [strings]."""
        return self.depths[self.leaves] + 1

    def paths(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nodes from a first token to each of `nodes`, one path after the other, and where
        each path starts."""
        starts = np.zeros(len(nodes) + 1, dtype=np.int64)
        np.cumsum(self.depths[nodes] + 1, out=starts[1:])
        path = np.empty(starts[-1], dtype=np.int32)
        current, place = nodes, starts[1:] - 1
        while len(current):
            path[place] = current
            current = self.parents[current]
            current, place = current[current >= 0], place[current >= 0] - 1
        return path, starts

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum of `values` [nodes] over the path to each node, in float64."""
        sums = values.astype(np.float64)
        for nodes in self.levels[1:]:
            sums[nodes] += sums[self.parents[nodes]]
        return sums


def build_trie(ids: np.ndarray, starts: np.ndarray, share: bool = True) -> Trie:
    """The trie of strings `ids[starts[i] : starts[i + 1]]`, none of them empty.

    Without `share` each string keeps nodes of its own; what is computed is the same.
    """
    ids = np.ascontiguousarray(ids, dtype=np.int32)
    count = len(starts) - 1
    lengths = np.diff(starts)
    if share:
        raw = ids.astype(">i4").tobytes()  # big-endian bytes sort as the numbers do
        bounds = (4 * starts).tolist()
        strings = [raw[first:last] for first, last in pairwise(bounds)]
        order = np.array(sorted(range(count), key=strings.__getitem__), dtype=np.int64)
        del raw, bounds, strings  # several times the size of the ids
        shared = _shared_with_previous(ids, starts[:-1][order], lengths[order])
    else:
        order = np.arange(count)
        shared = np.zeros(count, dtype=np.int64)
    new = lengths[order] - shared
    nodes = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(new, out=nodes[1:])
    depths = ramps(new) + np.repeat(shared, new)
    tokens = ids[np.repeat(starts[:-1][order], new) + depths]
    leaves = np.empty(count, dtype=np.int32)
    leaves[order] = nodes[1:] - 1  # a string equal to the one before it adds no node
    return Trie(tokens, depths.astype(np.int32), leaves)


def _shared_with_previous(ids: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """How many first tokens each string has in common with the one before it: int64 [strings]."""
    shared = np.zeros(len(starts), dtype=np.int64)
    step = COMPARED_AT_ONCE
    for first in range(1, len(starts), step):
        part = slice(first, first + step)
        before = slice(first - 1, min(first - 1 + step, len(starts) - 1))
        most = np.minimum(lengths[part], lengths[before])
        place = ramps(most)
        differ = (
            ids[np.repeat(starts[part], most) + place]
            != ids[np.repeat(starts[before], most) + place]
        )
        offsets = np.cumsum(most) - most
        place[~differ] = np.iinfo(np.int64).max
        shared[part] = np.minimum(np.minimum.reduceat(place, offsets), most)
    return shared


def ramps(lengths: np.ndarray) -> np.ndarray:
    """0, 1 ... lengths[0] - 1, 0, 1 ... lengths[1] - 1, and so on: int64."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
