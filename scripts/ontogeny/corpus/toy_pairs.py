"""The planted pairs of the toy language: words and their features, attested and nonce binomials,
and the distribution of every "x and y" that the text can hold. See `toy` for the model.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ontogeny.origins import reading

UNIFORMS_PER_DRAW = 8192
MOST_TRIES = 100_000


@dataclass(frozen=True)
class Item:
    """A planted pair, `word1` < `word2`; `rate`: expected count, both orders, per million words."""

    word1: str
    word2: str
    kind: str
    constraints: dict[str, float]
    general_log_odds: float
    noise: float
    rate: float
    attested: bool

    @property
    def log_odds(self) -> float:
        """Log-odds of `word1` first: the constraints, plus the item's own noise."""
        return self.general_log_odds + self.noise


@dataclass(frozen=True)
class Draw:
    """A categorical distribution over strings: `cumulative[i]` = P(string 0..i)."""

    strings: np.ndarray
    cumulative: np.ndarray

    @classmethod
    def of(cls, strings: list[str] | np.ndarray, weights: np.ndarray | None = None) -> Draw:
        weights = np.ones(len(strings)) if weights is None else weights
        cumulative = np.cumsum(weights / weights.sum())
        cumulative[-1] = 1.0
        return cls(np.array(strings, dtype=object), cumulative)

    def stream(self, rng: np.random.Generator) -> Iterator[str]:
        """Endless draws, made `UNIFORMS_PER_DRAW` at a time."""
        while True:
            at = np.searchsorted(self.cumulative, rng.random(UNIFORMS_PER_DRAW), side="right")
            yield from self.strings[at].tolist()


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV of the lexicon."""
    with reading(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_lexicon(folder: Path, planted: dict, rng: np.random.Generator) -> dict[str, dict]:
    """Words by the form that is coordinated: the row of the table, its features and its use."""
    rows = read_rows(folder / "nouns.csv")
    rows += [row | {"class": "verbs"} for row in read_rows(folder / "verbs.csv")]
    rows += [row | {"class": "adjectives"} for row in read_rows(folder / "adjectives.csv")]
    lexicon: dict[str, dict] = {}
    for row in rows:
        if row["word"] in lexicon:
            raise ValueError(f"{folder}: the word {row['word']!r} is listed twice")
        features = {name: float(row[name]) for name in ("syllables", "power", "culture", "stage")}
        features["animacy"] = float(planted["animacy"].get(row["class"], 0))
        lexicon[row["word"]] = row | {"features": features}
    for name in dict.fromkeys(entry["class"] for entry in lexicon.values()):
        entries = [entry for entry in lexicon.values() if entry["class"] == name]
        for rank, index in enumerate(rng.permutation(len(entries)), start=1):
            entries[index]["use"] = 1.0 / (rank + planted["usage_offset"])
            entries[index]["features"]["usage"] = float(np.log(entries[index]["use"]))
    return lexicon


def constraint_values(first: dict, second: dict, constraints: dict[str, dict]) -> dict[str, float]:
    """Value of each constraint for the order first-second: positive where it favours that order."""
    return {
        name: (1.0 if c["first"] == "high" else -1.0)
        * (first["features"][c["feature"]] - second["features"][c["feature"]])
        for name, c in constraints.items()
    }


def logistic(log_odds: float) -> float:
    """Probability of the given log-odds."""
    return float(1.0 / (1.0 + np.exp(-log_odds)))


def _kind_of(a: str, b: str, kinds: dict) -> str | None:
    """The first kind of coordination that joins words of the classes `a` and `b`."""
    return next((k for k, kind in kinds.items() if {a, b} <= set(kind["classes"])), None)


def _matchings(words: list[str], rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Random pairs that use the words evenly: one random matching of all words after another."""
    while True:
        shuffled = [words[i] for i in rng.permutation(len(words))]
        for first, second in zip(shuffled[::2], shuffled[1::2], strict=False):
            yield min(first, second), max(first, second)


def attested_rates(n: int, highest: float, lowest: float, offset: float) -> np.ndarray:
    """Zipf-Mandelbrot rates, C / (rank + offset)**exponent, ranks 1..n: `highest` to `lowest`."""
    exponent = np.log(highest / lowest) / np.log((n + offset) / (1 + offset))
    return highest * ((1 + offset) / (np.arange(1, n + 1) + offset)) ** exponent


def _draw_pairs(words: list[str], n: int, belongs, taken: set, rng: np.random.Generator) -> list:
    """`n` pairs that `belongs` accepts, words used evenly; not in `taken`, and added to it."""
    drawn: list[tuple[str, str]] = []
    tries = MOST_TRIES if len(words) > 1 else 0
    for pair in itertools.islice(_matchings(words, rng), tries):
        if len(drawn) == n:
            break
        if pair not in taken and belongs(pair):
            taken.add(pair)
            drawn.append(pair)
    if len(drawn) < n:
        raise ValueError(
            f"only {len(drawn)} of {n} pairs can be drawn from {len(words)} words; "
            "lower the number of pairs or nonce_words.attested_rate"
        )
    return drawn


def draw_items(lexicon: dict, planted: dict, rng: np.random.Generator) -> list[Item]:
    """The attested pairs, ranks of frequency spread evenly over the kinds, and the nonce pairs.

    Words of nonce pairs occur in attested pairs at least `nonce_words.attested_rate` times per
    million words: what a model learns of those pairs then competes with the constraints.
    """
    kinds, taken = planted["kinds"], set()
    inside = {
        name: [w for w, entry in lexicon.items() if entry["class"] in kind["classes"]]
        for name, kind in kinds.items()
    }

    def of_kind(name: str):
        return lambda pair: (
            _kind_of(lexicon[pair[0]]["class"], lexicon[pair[1]]["class"], kinds) == name
        )

    attested, order = [], []
    for name, kind in kinds.items():
        n = kind["attested"]
        attested += [
            (pair, name) for pair in _draw_pairs(inside[name], n, of_kind(name), taken, rng)
        ]
        order += list((np.arange(n) + rng.random(n)) / n)
    rates = np.zeros(len(attested))
    rates[np.argsort(order)] = attested_rates(len(attested), **planted["attested_rate"])
    habit = dict.fromkeys(lexicon, 0.0)
    for (pair, _), rate in zip(attested, rates, strict=True):
        for word in pair:
            habit[word] += rate
    nonce = []
    for name, kind in kinds.items():
        words = [w for w in inside[name] if habit[w] >= planted["nonce_words"]["attested_rate"]]
        nonce += [
            (pair, name) for pair in _draw_pairs(words, kind["nonce"], of_kind(name), taken, rng)
        ]

    def item(pair: tuple[str, str], name: str, rate: float, noise: float) -> Item:
        values = constraint_values(lexicon[pair[0]], lexicon[pair[1]], planted["constraints"])
        general = sum(c["weight"] * values[k] for k, c in planted["constraints"].items())
        return Item(*pair, name, values, general, noise, rate, attested=rate > 0)

    noise = rng.normal(0.0, planted["item_noise_sd"], len(attested)).tolist()
    result = [
        item(*entry, rate, x)
        for entry, rate, x in zip(attested, rates.tolist(), noise, strict=True)
    ]
    return result + [item(*entry, 0.0, 0.0) for entry in nonce]


def coordinations(kind: str, items: list[Item], lexicon: dict, planted: dict, slots: float) -> Draw:
    """The distribution of "x and y" in the slots of one kind; `slots` per million words.

    Attested pairs have their planted rates. What is left goes to all pairs that are no item, in
    proportion to the product of their words' use, ordered by the constraints.
    """
    attested = [item for item in items if item.attested and item.kind == kind]
    share = sum(item.rate for item in attested) / slots
    if share >= 1:
        raise ValueError(
            f"kind {kind!r}: {share * slots:.0f} attested coordinations per million words are "
            f"planted, but the templates have slots for {slots:.0f}; lower attested_rate or add "
            f"{{{kind}+}} slots"
        )
    listed = {(item.word1, item.word2) for item in items}
    words = sorted(w for w, e in lexicon.items() if e["class"] in planted["kinds"][kind]["classes"])
    novel = [
        (a, b)
        for a, b in itertools.combinations(words, 2)
        if (a, b) not in listed
        and _kind_of(lexicon[a]["class"], lexicon[b]["class"], planted["kinds"]) == kind
    ]
    weights = [
        (c["feature"], c["weight"] * (1 if c["first"] == "high" else -1))
        for c in planted["constraints"].values()
    ]
    score = {
        w: sum(weight * lexicon[w]["features"][name] for name, weight in weights) for w in words
    }
    use = np.array([lexicon[a]["use"] * lexicon[b]["use"] for a, b in novel])
    pairs = [(item.word1, item.word2) for item in attested] + novel
    p = np.concatenate(
        [np.array([item.rate / slots for item in attested]), (1 - share) * use / use.sum()]
    )
    log_odds = np.array(
        [item.log_odds for item in attested] + [score[a] - score[b] for a, b in novel]
    )
    first = 1 / (1 + np.exp(-log_odds))
    strings = [f"{a} and {b}" for a, b in pairs] + [f"{b} and {a}" for a, b in pairs]
    return Draw.of(strings, np.concatenate([p * first, p * (1 - first)]))
