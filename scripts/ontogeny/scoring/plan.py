"""From a trie to what a model is run on: rows of a fixed width, and what is read off them.

Only nodes that something follows need the model: the last token of a string is predicted, and
never read. They fill rows in depth-first order, each row headed by the path to its first node, so
that every row holds all ancestors of its nodes and can be run by itself. A token sees its
ancestors in the trie and nothing else of its row.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ontogeny.scoring.trie import Trie

WIDTHS = (64, 128, 256, 512, 1024, 2048, 4096)
ATTENTION_WIDTH = 1024  # a row so wide spends about as much on attention as on all else


@dataclass(frozen=True)
class Plan:
    """A trie in rows.

    `inner`: the nodes that something follows, int32, depth-first. Row `r` holds, after the path
    to its first node, `inner[firsts[r] : firsts[r + 1]]`. `edges`: all nodes that are predicted,
    those that follow `inner[i]` being `edges[bounds[i] : bounds[i + 1]]`.
    """

    trie: Trie
    width: int
    inner: np.ndarray
    firsts: np.ndarray
    edges: np.ndarray
    bounds: np.ndarray

    @property
    def rows(self) -> int:
        return len(self.firsts) - 1

    @cached_property
    def slots(self) -> np.ndarray:
        """int32 [rows, width]: the node at each place, -1 where there is none."""
        slots = np.full((self.rows, self.width), -1, dtype=np.int32)
        heads = self.inner[self.firsts[:-1]]
        lead = self.trie.depths[heads]
        counts = np.diff(self.firsts)
        row = np.repeat(np.arange(self.rows), counts)
        place = np.arange(len(self.inner)) + np.repeat(lead - self.firsts[:-1], counts)
        slots[row, place] = self.inner
        row, place, current = np.arange(self.rows), lead - 1, self.trie.parents[heads]
        while (inside := current >= 0).any():
            row, place, current = row[inside], place[inside], current[inside]
            slots[row, place] = current
            place, current = place - 1, self.trie.parents[current]
        return slots


def make_plan(trie: Trie, width: int | None = None) -> Plan:
    """Rows for a trie, of the width that costs least unless one is given."""
    followers = trie.parents >= 0
    is_inner = np.zeros(len(trie), dtype=bool)
    is_inner[trie.parents[followers]] = True
    inner = np.flatnonzero(is_inner).astype(np.int32)
    depths = trie.depths[inner]
    longest = int(depths.max(initial=0)) + 1
    if width is not None and width < longest:
        raise ValueError(f"rows of {width} tokens can't hold a string that needs {longest}")
    widths = [width] if width else [w for w in WIDTHS if w >= longest] or [longest]
    filled = {w: _fill(depths, w) for w in widths}
    width = min(filled, key=lambda w: w * (len(filled[w]) - 1) * (1 + w / ATTENTION_WIDTH))
    rank = np.cumsum(is_inner, dtype=np.int32) - 1
    edges = np.flatnonzero(followers).astype(np.int32)
    parent_rank = rank[trie.parents[edges]]
    edges = edges[np.argsort(parent_rank, kind="stable")]
    bounds = np.zeros(len(inner) + 1, dtype=np.int64)
    np.cumsum(np.bincount(parent_rank, minlength=len(inner)), out=bounds[1:])
    return Plan(trie, width, inner, filled[width], edges, bounds)


def _fill(depths: np.ndarray, width: int) -> np.ndarray:
    """The first inner node of each row, and their number at the end: int64 [rows + 1]."""
    firsts, first, count = [], 0, len(depths)
    while first < count:
        firsts.append(first)
        first += width - int(depths[first])
    return np.array([*firsts, count], dtype=np.int64)
