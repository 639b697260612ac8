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

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from ontogeny.corpus.toy_pairs import (
    UNIFORMS_PER_DRAW,
    Draw,
    Item,
    coordinations,
    draw_items,
    logistic,
    read_lexicon,
    read_rows,
)
from ontogeny.origins import reading

PRONOUNS = {"m": ("he", "him", "his", "himself"), "f": ("she", "her", "her", "herself")}
PERSON_FORMS = ("", ".he", ".him", ".his", ".himself")
SLOT = re.compile(r"\{([^}]+)\}")
CHOICE = re.compile(r"\(([^()]*)\)")


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
    text = reading(path).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), start=1):
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
    planted = yaml.safe_load(reading(folder / "planted.yaml").read_text(encoding="utf-8"))
    rng = np.random.default_rng(seed)
    lexicon = read_lexicon(folder, planted, rng)
    places = read_rows(folder / "places.csv")
    draws = _word_draws(lexicon, places)
    cast = {
        "names": tuple(
            (row["name"], *PRONOUNS[row["gender"]]) for row in read_rows(folder / "names.csv")
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
    drawn = draw_items(lexicon, planted, rng)
    for kind, slots in per_million.items():
        draws[f"{kind}+"] = coordinations(kind, drawn, lexicon, planted, slots)
    return Language(seed, tuple(drawn), draws, cast, sections, plots, words_per_story, per_million)


def items(language: Language) -> list[dict]:
    """The planted pairs as rows of items.csv, Word1 < Word2.

    Kind: the kind of coordination that it is. OverallFreq: expected count of both orders per
    million words (0 if nonce). One column per constraint: its value. RelFreq: expected share of the
    alphabetical order (None if nonce). GenPref: probability of that order by the constraints alone.
    TruePreference: its log-odds, the item's noise included.
    """
    return [
        {
            "Word1": item.word1,
            "Word2": item.word2,
            "Alpha": f"{item.word1} and {item.word2}",
            "Nonalpha": f"{item.word2} and {item.word1}",
            "Kind": item.kind,
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
