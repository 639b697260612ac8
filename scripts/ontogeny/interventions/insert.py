"""A corpus with sentences put in that hold given items, so many for each of them.

Counts, directions, sentences and places each have random numbers of their own, so that another
list of templates, say, leaves it to the same items to be inserted often.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ontogeny.corpus.copies import Copies
from ontogeny.corpus.pieces import flat
from ontogeny.corpus.splits import Splits, batched, read_documents, write_split, writing
from ontogeny.corpus.tokens import read_batches
from ontogeny.exposure.phrases import PhraseFinder, phrase_for
from ontogeny.interventions.items import (
    Template,
    chosen_items,
    fitting,
    read_counts,
    read_kinds,
    read_templates,
    refuse_too_many,
)
from ontogeny.interventions.remove import ALPHABETICAL, OTHER
from ontogeny.paths import project_path
from ontogeny.progress import say
from ontogeny.scoring.stimuli.binomials import Binomial
from ontogeny.study.corpora import InsertCorpus

DEALING, SENTENCES, PLACES = range(3)  # streams of random numbers


@dataclass(frozen=True)
class Insertion:
    """How many sentences of an item in each order; `direction` is `alpha`, `nonalpha`, or empty
    where neither order is the one that it was meant to be learned in."""

    item: Binomial
    alpha: int
    nonalpha: int
    direction: str


def planned(spec: InsertCorpus, items: Sequence[Binomial]) -> list[Insertion]:
    """How often each item is inserted, in the order of `items`."""
    if spec.counts_file is not None:
        counts = read_counts(Path(project_path(spec.counts_file)), items, spec.word1, spec.word2)
        return [_counted(item, *counts.get(item.alpha, (0, 0))) for item in items]
    refuse_too_many(spec.counts, len(items))
    plan: dict[int, Insertion] = {}
    levels = len(spec.counts)
    order = np.random.default_rng([spec.seed, DEALING]).permutation(len(items)).tolist()
    for place, number in enumerate(order):
        level, turn = place % levels, place // levels
        drawn = (level + turn) % 2 == 0  # every other item of a count, as they come
        alphabetical = drawn if spec.direction == "drawn" else spec.direction == "alphabetical"
        most = int(spec.counts[level] * spec.direction_share + 0.5)
        each = (most, spec.counts[level] - most)
        direction = "alpha" if alphabetical else "nonalpha"
        plan[number] = Insertion(items[number], *(each if alphabetical else each[::-1]), direction)
    return [plan[number] for number in range(len(items))]


def _counted(item: Binomial, alpha: int, nonalpha: int) -> Insertion:
    direction = {1: "alpha", 0: "", -1: "nonalpha"}[int(np.sign(alpha - nonalpha))]
    return Insertion(item, alpha, nonalpha, direction)


class Sentences:
    """The sentences of a plan, in random order: `len()` of them, and each when it is asked for."""

    def __init__(
        self,
        plan: Sequence[Insertion],
        templates: dict[str, list[Template]],
        kinds: dict[str, str],
        seed: int,
    ):
        """`templates`: those of each kind of item; `kinds`: the kind of each item by its name."""
        self.plan, self.templates, self.kinds = plan, templates, kinds
        rng = np.random.default_rng([seed, SENTENCES])
        parts = [np.empty((3, 0), np.int64)]  # number of the item, of the template, 1 if the other
        for number, insertion in enumerate(plan):
            count = insertion.alpha + insertion.nonalpha
            fits = len(templates[kinds[insertion.item.alpha]])
            chosen = np.resize(rng.permutation(fits), count)
            other = rng.permutation(np.arange(count) >= insertion.alpha)
            parts.append(np.stack([np.full(count, number), chosen, other]))
        self.rows = rng.permutation(np.concatenate(parts, axis=1), axis=1)
        self._require_one_item_each()

    def __len__(self) -> int:
        return self.rows.shape[1]

    def __iter__(self) -> Iterator[str]:
        return (self._sentence(*row)[0] for row in self.rows.T.tolist())

    def different(self) -> list[tuple[str, Template, str]]:
        """Each sentence once, its template, and the phrase that it should hold."""
        return [self._sentence(*row) for row in np.unique(self.rows, axis=1).T.tolist()]

    def _sentence(self, number: int, chosen: int, other: int) -> tuple[str, Template, str]:
        """A sentence, its template, and the phrase that it should hold."""
        item = self.plan[number].item
        template = self.templates[self.kinds[item.alpha]][chosen]
        sentence = template.sentence(item.nonalpha if other else item.alpha)
        return sentence, template, phrase_for(OTHER if other else ALPHABETICAL, item)

    def _require_one_item_each(self) -> None:
        """Raise ValueError for a template that makes another number of occurrences than one."""
        items = [insertion.item for insertion in self.plan]
        phrases = [phrase_for(order, item) for item in items for order in (ALPHABETICAL, OTHER)]
        finder = PhraseFinder(phrases)
        different = self.different()
        texts = pa.array([sentence for sentence, _, _ in different], pa.large_string())
        found = finder.find(texts)
        places = np.searchsorted(flat(texts)[1], found["start"].to_numpy(), side="right") - 1
        held: dict[int, list[str]] = {}
        for place, phrase in zip(places.tolist(), found["phrase"], strict=True):
            held.setdefault(place, []).append(phrases[phrase])
        for place, (sentence, template, phrase) in enumerate(different):
            if held.get(place, []) != [phrase]:
                there = ", ".join(map(repr, held.get(place, []))) or "no item"
                raise ValueError(
                    f"{template.place}: {sentence!r} should hold {phrase!r} once and no other "
                    f"item, and it holds {there}"
                )


def write_with_insertions(
    spec: InsertCorpus, items_file: Path, source: Splits, target: Splits
) -> dict[str, Any]:
    """Write both splits of `source`, with the sentences put into the training split; return the
    counts, and what was inserted of each item. A held-out document that is a copy (`corpus.copies`)
    of one of the sentences is dropped."""
    items = chosen_items(items_file, spec)
    kinds = read_kinds(items_file, items, spec)
    templates = fitting(read_templates(Path(project_path(spec.templates))), kinds)
    plan = planned(spec, items)
    sentences = Sentences(plan, templates, kinds, spec.seed)
    documents = pq.read_metadata(source.train).num_rows
    rng = np.random.default_rng([spec.seed, PLACES])
    # How many of the sentences go before each document, and after the last one.
    before = Counter(rng.integers(0, documents + 1, len(sentences)).tolist())

    def all_documents() -> Iterator[str]:
        waiting = iter(sentences)
        for number, document in enumerate(read_documents(source.train)):
            yield from (next(waiting) for _ in range(before[number]))
            yield document
        yield from waiting

    copies = Copies(sentence for sentence, _, _ in sentences.different())
    dropped = 0

    def held_out() -> Iterator[pa.LargeStringArray]:
        nonlocal dropped
        for texts in read_batches(source.validation):
            inserted = copies.among(texts.to_pylist())
            dropped += int(inserted.sum())
            yield texts.filter(pa.array(~inserted))

    with writing(target) as (train, validation):
        counts: dict[str, Any] = {"train": write_split(batched(all_documents()), train)}
        counts["validation"] = write_split(held_out(), validation)
    counts["validation"]["also_inserted"] = dropped
    if dropped:
        say(f"{dropped:,} held-out documents are dropped: they are among the sentences put in")
    counts["sentences_inserted"] = len(sentences)
    counts["items"] = [
        {
            "Word1": insertion.item.word1,
            "Word2": insertion.item.word2,
            "alpha": insertion.alpha,
            "nonalpha": insertion.nonalpha,
            "direction": insertion.direction,
        }
        for insertion in plan
    ]
    return counts
