"""Corpora that are made from others: what only shows when all are seen together."""

from collections.abc import Iterator, Mapping

from ontogeny.study.corpora import (
    Corpus,
    DerivedCorpus,
    InterventionCorpus,
    MixCorpus,
    ToyCorpus,
)
from ontogeny.study.errors import nearest


def derivation_problems(corpora: Mapping[str, Corpus]) -> Iterator[str]:
    """A line for each corpus that names one that is not defined, or is made from itself."""
    told: set[str] = set()
    for name, corpus in corpora.items():
        if not isinstance(corpus, DerivedCorpus):
            continue
        for source in corpus.made_from():
            if source not in corpora:
                hint = nearest(source, corpora)
                yield f"corpora.{name}: corpus {source!r} is not defined; {hint}"
        if isinstance(corpus, InterventionCorpus) and corpus.items_from is not None:
            yield from _item_problems(corpora, name, corpus.items_from)
        circle = () if name in told else _circle(corpora, name, ())
        if circle:
            told.update(circle)
            yield f"corpora.{name}: it is made from itself: {' from '.join([*circle, name])}"


def sources_of(corpora: Mapping[str, Corpus], name: str) -> list[str]:
    """The corpora that one is made from, those that they are made from, and so on, each once."""
    corpus = corpora[name]
    found: list[str] = []
    for source in corpus.made_from() if isinstance(corpus, DerivedCorpus) else []:
        found += [source, *sources_of(corpora, source)]
    return list(dict.fromkeys(found))


def without_holdout(
    corpora: Mapping[str, Corpus], name: str, above: tuple[str, ...] = ()
) -> list[str]:
    """The sources that should hold documents out so that corpus `name` does; none if it does.

    Names that are not defined, or are made from themselves, are told elsewhere.
    """
    corpus = corpora.get(name)
    if corpus is None or name in above:
        return []
    if not isinstance(corpus, DerivedCorpus):
        return [] if corpus.holds_out() else [name]
    parts = [without_holdout(corpora, part, (*above, name)) for part in corpus.made_from()]
    if isinstance(corpus, MixCorpus) and corpus.holds_all_there_is and not all(parts):
        return []
    return list(dict.fromkeys(source for part in parts for source in part))


def _item_problems(corpora: Mapping[str, Corpus], name: str, toy: str) -> Iterator[str]:
    if toy not in corpora:
        yield f"corpora.{name}.items_from: corpus {toy!r} is not defined; {nearest(toy, corpora)}"
    elif not isinstance(corpora[toy], ToyCorpus):
        yield (
            f"corpora.{name}.items_from: corpus {toy!r} is not in the toy language, so it has no "
            "binomials of its own; give a file in `items`"
        )


def _circle(corpora: Mapping[str, Corpus], name: str, above: tuple[str, ...]) -> tuple[str, ...]:
    """The corpora from the first of `above` down to `name`, if that one is the first again."""
    if name in above:
        return above if name == above[0] else ()
    corpus = corpora.get(name)
    sources = corpus.made_from() if isinstance(corpus, DerivedCorpus) else []
    found = (_circle(corpora, source, (*above, name)) for source in sources)
    return next(filter(None, found), ())
