"""The toy language: stories with planted order preferences, so that the truth is known.

A language is drawn once from a lexicon and a seed: how much each word is used; which pairs of
words are *attested* binomials, each with an expected count and item noise; and which are *nonce*
pairs, of common words, that are never joined by "and" in either order. All other coordinations
are *novel*: their order follows the constraints alone. For a pair in alphabetical order

    log-odds(word1 first) = sum_k weight_k * value_k  [+ Normal(0, item_noise_sd) if attested]

and a constraint's value is the difference of one feature between the words (Bradley-Terry), so
the preference in an unseen pair can be learned from seen ones.

Documents are stories made of sentence templates. All fillers of a slot have the same number of
words, and sentences are drawn uniformly, so expected counts are exact (renewal-reward): per
million words a pair occurs

    10^6 * E[coordinations of its kind in a story] * P(pair | kind) / E[words in a story]

times. The cost: no sentence is chosen because of the one before it. Who a story is about, where
it happens, the pet and the gift stay the same; events follow each other without a plot.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

UNIFORMS_PER_DRAW = 8192
MOST_TRIES = 100_000
PRONOUNS = {"m": ("he", "him", "his", "himself"), "f": ("she", "her", "her", "herself")}
PERSON_FORMS = ("", ".he", ".him", ".his", ".himself")
SLOT = re.compile(r"\{([^}]+)\}")
CHOICE = re.compile(r"\(([^()]*)\)")


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


@dataclass(frozen=True)
class Sentence:
    """A template without choices, `pattern % fillers`; a slot is in BOUND or in the draws."""

    pattern: str
    slots: tuple[str, ...]
    words: int


@dataclass(frozen=True)
class Language:
    """What is drawn once from the language seed.

    `draws[slot]`: the fillers of a drawn slot. `cast`: names, helpers and places with their forms.
    `sections[name]`: templates, each the tuple of its variants. `plots[name]`: (section, least,
    most sentences). `coordinations_per_million[kind]`: slots of that kind per million words.
    """

    seed: int
    items: tuple[Item, ...]
    draws: dict[str, Draw]
    cast: dict[str, tuple[tuple[str, ...], ...]]
    sections: dict[str, tuple[tuple[Sentence, ...], ...]]
    plots: dict[str, tuple[tuple[str, int, int], ...]]
    words_per_story: float
    coordinations_per_million: dict[str, float]


# Lexicon


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_lexicon(folder: Path, planted: dict, rng: np.random.Generator) -> dict[str, dict]:
    """Words by the form that is coordinated: the row of the table, its features and its use."""
    rows = _rows(folder / "nouns.csv")
    rows += [row | {"class": "verbs"} for row in _rows(folder / "verbs.csv")]
    rows += [row | {"class": "adjectives"} for row in _rows(folder / "adjectives.csv")]
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


# Stories


def _expand(template: str) -> list[str]:
    """All variants of a template: one for each combination of its (x|y) choices."""
    parts = CHOICE.split(template)
    options = [part.split("|") if i % 2 else [part] for i, part in enumerate(parts)]
    return ["".join(combination) for combination in itertools.product(*options)]


def _sentence(text: str, words_of: dict[str, int], where: str) -> Sentence:
    if set(text) & set("()|"):
        raise ValueError(f"{where}: choices (x|y) must be closed and not nested")
    slots = tuple(SLOT.findall(text))
    for slot in slots:
        if slot not in words_of:
            raise ValueError(f"{where}: no slot {{{slot}}}; known: {', '.join(sorted(words_of))}")
    if set(re.findall(r"\{([^}]+)\} and \{([^}]+)\}", text)) - {("A", "B")}:
        raise ValueError(
            f"{where}: join two words by a coordination slot, not by 'and' between slots"
        )
    words = len(SLOT.sub(lambda match: "x " * (words_of[match[1]] - 1) + "x", text).split())
    return Sentence(SLOT.sub("%s", text.replace("%", "%%")), slots, words)


def _read_sections(
    path: Path, words_of: dict[str, int]
) -> dict[str, tuple[tuple[Sentence, ...], ...]]:
    sections: dict[str, list[tuple[Sentence, ...]]] = {}
    templates: list[tuple[Sentence, ...]] | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("== "):
            templates = sections.setdefault(line.strip("= "), [])
        elif line.strip() and not line.startswith("#"):
            if templates is None:
                raise ValueError(f"{path}:{number}: a template before the first '== section =='")
            where = f"{path}:{number}"
            templates.append(tuple(_sentence(text, words_of, where) for text in _expand(line)))
    return {name: tuple(templates) for name, templates in sections.items()}


def _per_story(sections: dict, plots: dict, measure) -> float:
    """Expected sum of `measure(sentence)` over a story; all choices in a story are uniform."""
    mean = {
        name: np.mean(
            [np.mean([measure(sentence) for sentence in variants]) for variants in templates]
        )
        for name, templates in sections.items()
    }
    return float(
        np.mean([sum((a + b) / 2 * mean[s] for s, a, b in plot) for plot in plots.values()])
    )


# Pairs


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


def _draw_items(lexicon: dict, planted: dict, rng: np.random.Generator) -> list[Item]:
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


def _coordinations(
    kind: str, items: list[Item], lexicon: dict, planted: dict, slots: float
) -> Draw:
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


# The language


def _by_use(entries: list[dict], form: str) -> Draw:
    return Draw.of([e[form] for e in entries], np.array([e["use"] for e in entries]))


def _word_draws(lexicon: dict, places: list[dict[str, str]]) -> dict[str, Draw]:
    """The slots that are filled anew at each use, by the words' use (places: uniformly)."""
    draws = {}
    nouns = [entry for entry in lexicon.values() if "group" in entry]
    for name in dict.fromkeys(entry[column] for entry in nouns for column in ("class", "group")):
        entries = [entry for entry in nouns if name in (entry["class"], entry["group"])]
        draws[name] = _by_use(entries, "word")
        if counted := [entry for entry in entries if entry["singular"]]:
            draws[f"1 {name}"] = _by_use(counted, "singular")
    adjectives = [entry for entry in lexicon.values() if entry["class"] == "adjectives"]
    draws["trait"] = _by_use(adjectives, "word")
    draws["look"] = _by_use([entry for entry in adjectives if entry["said_of"] == "all"], "word")
    verbs = [entry for entry in lexicon.values() if entry["class"] == "verbs"]
    for slot, form in (("did", "word"), ("do", "base"), ("does", "third")):
        draws[slot] = _by_use(verbs, form)
    draws["spot"] = Draw.of([row["place"] for row in places])
    draws["spots"] = Draw.of([row["plural"] for row in places])
    for slot in [slot for slot in draws if slot in ("trait", "look") or slot.startswith("1 ")]:
        articled = [f"{'an' if word[0] in 'aeiou' else 'a'} {word}" for word in draws[slot].strings]
        draws[f"a {slot.removeprefix('1 ')}"] = Draw(
            np.array(articled, dtype=object), draws[slot].cumulative
        )
    return draws


BOUND = (
    [f"A{form}" for form in PERSON_FORMS]
    + [f"B{form}" for form in PERSON_FORMS]
    + [f"helper{form}" for form in PERSON_FORMS]
    + ["place", "where", "pet", "gift"]
)


def load_language(folder: Path, seed: int) -> Language:
    """The language of the lexicon, templates and planted weights in `folder`, drawn with `seed`."""
    folder = Path(folder)
    planted = yaml.safe_load((folder / "planted.yaml").read_text(encoding="utf-8"))
    rng = np.random.default_rng(seed)
    lexicon = read_lexicon(folder, planted, rng)
    places = _rows(folder / "places.csv")
    draws = _word_draws(lexicon, places)
    cast = {
        "names": tuple(
            (row["name"], *PRONOUNS[row["gender"]]) for row in _rows(folder / "names.csv")
        ),
        "helpers": tuple(
            (e["singular"], *PRONOUNS[e["gender"]])
            for e in lexicon.values()
            if e.get("gender") in PRONOUNS
        ),
        "places": tuple((row["place"], row["where"]) for row in places),
    }
    words_of = dict.fromkeys(BOUND, 1) | {f"{kind}+": 3 for kind in planted["kinds"]}
    words_of |= {slot: len(draw.strings[0].split()) for slot, draw in draws.items()}
    words_of["where"] = len(places[0]["where"].split())
    sections = _read_sections(folder / "stories.txt", words_of)
    plots = {name: tuple(tuple(part) for part in plot) for name, plot in planted["plots"].items()}

    words_per_story = _per_story(sections, plots, lambda sentence: sentence.words)
    per_million = {
        kind: 1e6
        / words_per_story
        * _per_story(sections, plots, lambda s, slot=f"{kind}+": s.slots.count(slot))
        for kind in planted["kinds"]
    }
    drawn = _draw_items(lexicon, planted, rng)
    for kind, slots in per_million.items():
        draws[f"{kind}+"] = _coordinations(kind, drawn, lexicon, planted, slots)
    return Language(seed, tuple(drawn), draws, cast, sections, plots, words_per_story, per_million)


def items(language: Language) -> list[dict]:
    """The planted pairs as rows of items.csv, Word1 < Word2.

    OverallFreq: expected count of both orders per million words (0 if nonce). One column per
    constraint: its value. RelFreq: expected share of the alphabetical order (None if nonce).
    GenPref: probability of that order by the constraints alone. TruePreference: its log-odds,
    the item's noise included.
    """
    return [
        {
            "Word1": item.word1,
            "Word2": item.word2,
            "Alpha": f"{item.word1} and {item.word2}",
            "Nonalpha": f"{item.word2} and {item.word1}",
            "OverallFreq": item.rate,
            **item.constraints,
            "RelFreq": logistic(item.log_odds) if item.attested else None,
            "GenPref": logistic(item.general_log_odds),
            "TruePreference": item.log_odds,
            "Attested": int(item.attested),
        }
        for item in language.items
    ]


def documents(language: Language, seed: int, words: int) -> Iterator[str]:
    """Whole stories, one string each, until there are `words` words (split at spaces).

    The same language and seed give the same stories; fewer words, the first of them.
    """
    rng = np.random.default_rng(seed)
    streams = {slot: draw.stream(rng).__next__ for slot, draw in language.draws.items()}
    uniform = itertools.chain.from_iterable(
        rng.random(UNIFORMS_PER_DRAW).tolist() for _ in itertools.repeat(None)
    ).__next__
    position = {slot: i for i, slot in enumerate(BOUND)}

    def compiled(sentence: Sentence) -> tuple[str, tuple, int]:
        return (
            sentence.pattern,
            tuple(position.get(s, streams.get(s)) for s in sentence.slots),
            sentence.words,
        )

    sections = {
        name: [[compiled(sentence) for sentence in variants] for variants in templates]
        for name, templates in language.sections.items()
    }
    plots = [
        [(sections[name], least, most - least + 1) for name, least, most in p]
        for p in language.plots.values()
    ]
    names, helpers, places = (language.cast[key] for key in ("names", "helpers", "places"))
    pet, gift = streams["1 animals"], streams["1 things"]
    written = 0
    while written < words:
        a, b = int(uniform() * len(names)), int(uniform() * (len(names) - 1))
        bound = names[a] + names[b + (b >= a)] + helpers[int(uniform() * len(helpers))]
        bound += places[int(uniform() * len(places))] + (pet(), gift())
        story = []
        for templates, least, span in plots[int(uniform() * len(plots))]:
            used: set[int] = set()
            for _ in range(least + int(uniform() * span)):
                index = int(uniform() * len(templates))
                while index in used:
                    index = int(uniform() * len(templates))
                used.add(index)
                variants = templates[index]
                pattern, slots, length = variants[int(uniform() * len(variants))]
                text = pattern % tuple([bound[s] if s.__class__ is int else s() for s in slots])
                story.append(text[0].upper() + text[1:])
                written += length
        yield " ".join(story)
