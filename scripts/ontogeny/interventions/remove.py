"""A corpus without the sentences that hold given items.

Items are found as exposures are counted (`exposure.phrases`), in the whole document, and every
sentence goes that such a place touches: what is left holds none, whatever the rule for sentences.

What is left of a document may be a copy (`corpus.copies`) of one in the other split. Then it goes
as well, so that nothing that is held out has a copy in training.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ontogeny.corpus.copies import Copies
from ontogeny.corpus.pieces import flat
from ontogeny.corpus.splits import Splits, read_documents, write_split, writing
from ontogeny.corpus.tokens import read_batches
from ontogeny.exposure.phrases import COUNTED, PhraseFinder, phrase_for
from ontogeny.interventions.items import chosen_items
from ontogeny.interventions.sentences import sentence_spans, without
from ontogeny.progress import say
from ontogeny.scoring.stimuli.binomials import Binomial
from ontogeny.study.corpora import RemoveCorpus

ALPHABETICAL, OTHER = (COUNTED[column] for column in ("alpha_seen", "nonalpha_seen"))
# What a sentence must hold one of: each a set of phrases.
HOLDS = {
    "binomial": [[ALPHABETICAL], [OTHER]],
    "alphabetical": [[ALPHABETICAL]],
    "nonalphabetical": [[OTHER]],
    "words": [["{0}", "{1}", "and"], [ALPHABETICAL], [OTHER]],
}
SHOWN = 5  # absent items in a warning
Found = tuple[int, int, int]  # number of the phrase, start and end in bytes of its document


class Remover:
    """Removes sentences with some items from documents, and counts them for one split. A changed
    document that is a copy of one of the `others` is dropped."""

    def __init__(self, items: list[Binomial], match: str, others: Copies | None = None):
        self.items = items
        self.others = others or Copies()
        needs = [
            (number, {phrase_for(template, item) for template in templates})
            for number, item in enumerate(items)
            for templates in HOLDS[match]
        ]
        phrases = sorted({phrase for _, held in needs for phrase in held})
        self.finder = PhraseFinder(phrases)
        numbers = {phrase: number for number, phrase in enumerate(phrases)}
        self.needs: dict[int, list[tuple[int, frozenset[int]]]] = defaultdict(list)
        for item, held in needs:
            # By the rarest of its phrases, which "and" is not.
            key = numbers[max(held, key=lambda phrase: (phrase != "and", phrase))]
            self.needs[key].append((item, frozenset(numbers[phrase] for phrase in held)))
        self.sentences: Counter[int] = Counter()  # removed, by item
        self.removed = self.changed = self.emptied = self.copies = 0

    def __call__(self, texts: pa.LargeStringArray) -> pa.LargeStringArray:
        """The documents without those sentences; one of which nothing is left is dropped."""
        changed = self.without_items(texts)
        self.changed += len(changed)
        self.emptied += sum(not text for text in changed.values())
        copies = list(compress(changed, self.others.among(changed.values())))
        self.copies += len(copies)
        changed |= dict.fromkeys(copies, "")
        if not changed:
            return texts
        documents = texts.to_pylist()
        for number, text in changed.items():
            documents[number] = text or None
        kept = [text for text in documents if text is not None]
        return pa.array(kept, pa.large_string())

    def without_items(self, texts: pa.LargeStringArray) -> dict[int, str]:
        """The documents that change, by their place."""
        changed = {
            number: text
            for number, found in self._found(texts).items()
            if (text := self._without(texts[number].as_py(), found)) is not None
        }
        if changed:  # what is left may stand together now as the words of an item
            again = self.without_items(pa.array(list(changed.values()), pa.large_string()))
            places = list(changed)
            changed |= {places[number]: text for number, text in again.items()}
        return changed

    def _found(self, texts: pa.LargeStringArray) -> dict[int, list[Found]]:
        """The phrases in each document that has some, in their order."""
        table = self.finder.find(texts)
        starts = flat(texts)[1]
        document = np.searchsorted(starts, table["start"].to_numpy(), side="right") - 1
        found: dict[int, list[Found]] = defaultdict(list)
        places = table.select("phrase", "start", "end").iter_rows()
        for number, (phrase, start, end) in zip(document.tolist(), places, strict=True):
            at = int(starts[number])
            found[number].append((phrase, start - at, end - at))
        return found

    def _without(self, text: str, found: list[Found]) -> str | None:
        """One document without its sentences that hold items; None if there are none."""
        if not self._held({phrase for phrase, _, _ in found}):
            return None
        spans = sentence_spans(text)
        starts = [start for start, _ in spans]
        if not text.isascii():
            starts = [len(text[:start].encode()) for start in starts]
        inside: dict[int, set[int]] = defaultdict(set)
        for phrase, start, end in found:
            for number in range(bisect_right(starts, start) - 1, bisect_right(starts, end - 1)):
                inside[number].add(phrase)
        gone = {number: held for number in inside if (held := self._held(inside[number]))}
        for held in gone.values():
            self.sentences.update(held)
        self.removed += len(gone)
        return without(text, spans, gone) if gone else None

    def _held(self, phrases: set[int]) -> set[int]:
        """The items that a sentence with these phrases holds."""
        return {
            item
            for phrase in phrases
            for item, needed in self.needs.get(phrase, ())
            if needed <= phrases
        }


def write_without(
    spec: RemoveCorpus, items_file: Path, source: Splits, target: Splits
) -> dict[str, Any]:
    """Write both splits of `source` without the sentences that hold an item; return the counts.

    Says which items are nowhere in the text. Raises ValueError when nothing is left to train on.
    """
    items = chosen_items(items_file, spec)
    held_out, changed = _held_out(spec, items, source.validation)
    trained: set[str] = set()  # what became a copy of them when the held-out ones were changed
    removers = {"train": Remover(items, spec.match, held_out)}

    def trained_on() -> Iterator[pa.LargeStringArray]:
        for texts in map(removers["train"], read_batches(source.train)):
            if changed:
                documents = texts.to_pylist()
                trained.update(compress(documents, changed.among(documents)))
            yield texts

    with writing(target) as (train, validation):
        counts: dict[str, Any] = {"train": write_split(trained_on(), train)}
        removers["validation"] = Remover(items, spec.match, Copies(trained))
        batches = read_batches(source.validation)
        batches = map(removers["validation"], batches) if spec.held_out else batches
        counts["validation"] = write_split(batches, validation)
        if not counts["train"]["documents"]:
            raise ValueError(f"nothing of corpus {source.name!r} is left to train on")
    for split, remover in removers.items():
        counts[split] |= {
            "sentences_removed": remover.removed,
            "documents_changed": remover.changed,
            "documents_emptied": remover.emptied,
            "documents_in_both_splits": remover.copies,
        }
    if copies := sum(remover.copies for remover in removers.values()):
        say(f"{copies:,} changed documents are dropped: the other split holds the same text")
    counts["items"] = [
        {"Word1": item.word1, "Word2": item.word2}
        | {split: remover.sentences[number] for split, remover in removers.items()}
        for number, item in enumerate(items)
    ]
    counts["absent"] = [
        item.alpha
        for number, item in enumerate(items)
        if not any(remover.sentences[number] for remover in removers.values())
    ]
    if counts["absent"]:
        some = counts["absent"][:SHOWN]
        more = "" if len(some) == len(counts["absent"]) else " ..."
        say(
            f"warning: {len(counts['absent'])} of {len(items)} items are in no sentence of corpus "
            f"{source.name!r}: {', '.join(some)}{more}"
        )
    return counts


def _held_out(spec: RemoveCorpus, items: list[Binomial], path: Path) -> tuple[Copies, Copies]:
    """All documents that will be held out, to find copies of them, and those that change."""
    if not spec.held_out:
        return Copies(read_documents(path)), Copies()
    remover = Remover(items, spec.match)
    changed: set[str] = set()

    def documents() -> Iterator[str]:
        for texts in read_batches(path):
            changes = remover.without_items(texts)
            changed.update(text for text in changes.values() if text)
            for number, text in enumerate(texts.to_pylist()):
                yield changes.get(number, text)

    return Copies(documents()), Copies(changed)
