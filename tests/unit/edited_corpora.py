"""Corpora of a few texts, with sentences removed or put in, and what exposures then count."""

import csv
from collections import Counter

from corpus_files import make_splits, texts
from phrase_search import bpe, make_corpus

from ontogeny.exposure.occurrences import read_occurrences, write_occurrences
from ontogeny.exposure.phrases import phrase_for, phrases_of
from ontogeny.interventions.insert import write_with_insertions
from ontogeny.interventions.remove import ALPHABETICAL, OTHER, write_without
from ontogeny.study.corpora import InsertCorpus, RemoveCorpus


def write_csv(path, header, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return path


def corpus(folder, train, validation=("held out",), name="whole"):
    return make_splits(folder, name, train, validation)


def removed(folder, source, items, name="out", **keys):
    """Both splits without sentences, and the counts."""
    spec = RemoveCorpus(source="remove", corpus="whole", items=str(items), **keys)
    out = corpus(folder, [], [], name)
    counts = write_without(spec, items, source, out)
    return texts(out.train), texts(out.validation), counts


def inserted(folder, source, items, templates, name="out", **keys):
    """The splits with insertions, and the counts."""
    keys = {"counts": [3]} | keys if "counts_file" not in keys else keys
    spec = InsertCorpus(
        source="insert", corpus="whole", items=str(items), templates=str(templates), **keys
    )
    out = corpus(folder, [], [], name)
    return out, write_with_insertions(spec, items, source, out)


def exposures(folder, documents, items):
    """How often each order of the items is in the corpus, as the exposures of runs are counted."""
    folder.mkdir()
    make_corpus(folder, documents, bpe())
    phrases = phrases_of(items)
    args = [folder / part for part in ("train.parquet", "tokenizer.json", "tokens", "found")]
    write_occurrences(phrases, *args)
    found = Counter()
    for numbers, _, _ in read_occurrences(folder / "found", phrases):
        found.update(phrases[number] for number in numbers.tolist())
    return {
        item.alpha: tuple(found[phrase_for(order, item)] for order in (ALPHABETICAL, OTHER))
        for item in items
    }
