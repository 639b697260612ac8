"""What interventions are told in files: items, sentence templates, counts. Only the standard
library, so that the Snakefile can check every file before a job starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ontogeny.paths import project_path
from ontogeny.scoring.stimuli.binomials import Binomial, read_words
from ontogeny.scoring.stimuli.rows import Problems, read_rows, require_columns
from ontogeny.study.corpora import InsertCorpus, InterventionCorpus
from ontogeny.study.errors import nearest

SLOT = "{binomial}"
MOST_SENTENCES = 10_000_000  # of one corpus: as many as there are in some 150 million words


@dataclass(frozen=True)
class Template:
    """A sentence with a slot; `kind` is empty where any item may stand in it."""

    text: str
    kind: str
    place: str

    def sentence(self, binomial: str) -> str:
        text = self.text.replace(SLOT, binomial)
        return text[0].upper() + text[1:]


def check_files(spec: InterventionCorpus) -> None:
    """Read all files of an intervention, but for items that a job makes; raises ValueError for the
    first that is wrong."""
    items = None if spec.items is None else chosen_items(Path(project_path(spec.items)), spec)
    if isinstance(spec, InsertCorpus):
        templates = read_templates(Path(project_path(spec.templates)))
        if items is not None:
            kinds = read_kinds(Path(project_path(spec.items)), items, spec)
            fitting(templates, kinds)
            if spec.counts_file is not None:
                read_counts(Path(project_path(spec.counts_file)), items, spec.word1, spec.word2)
        if spec.counts:  # of items that a job makes, at least one of each count
            refuse_too_many(spec.counts, len(items or spec.only or spec.counts))


def refuse_too_many(counts: Sequence[int], items: int) -> None:
    """Raise ValueError where counts, dealt out over so many items, are too many sentences."""
    rounds, rest = divmod(items, len(counts))
    sentences = rounds * sum(counts) + sum(counts[:rest])
    if sentences > MOST_SENTENCES:
        raise ValueError(
            f"counts {list(counts)} are {sentences:,} sentences over all items, or more; give "
            f"lower ones, for {MOST_SENTENCES:,} at most"
        )


def chosen_items(path: Path, spec: InterventionCorpus) -> list[Binomial]:
    """The items of an intervention, in the order of their file; with `spec.only`, those alone.

    Raises ValueError for a line that is wrong, for one of `only` that is not there, and where no
    item is left.
    """
    items = read_words(path, spec.word1, spec.word2)
    if spec.attested_only:
        rows = list(read_rows(path))
        require_columns(path, rows, [spec.attested_column])
        flags = [row[spec.attested_column].strip() for _, row in rows]
        for (line, _), flag in zip(rows, flags, strict=True):
            if flag not in ("0", "1"):
                raise ValueError(
                    f"{path}, line {line}: {spec.attested_column} is {flag!r}, should be 1 "
                    "(attested) or 0"
                )
        items = [item for item, flag in zip(items, flags, strict=True) if flag == "1"]
    if spec.only:
        by_name = _by_name(items) | {item.nonalpha.casefold(): item for item in items}
        for name in spec.only:
            if name.casefold() not in by_name:
                what = "attested items" if spec.attested_only else "items"
                names = [item.given for item in items]
                raise ValueError(f"{path}: {name!r} is none of its {what}; {nearest(name, names)}")
        wanted = {by_name[name.casefold()].alpha for name in spec.only}
        items = [item for item in items if item.alpha in wanted]
    if not items:
        raise ValueError(f"{path}: it has no attested items")
    return items


def read_kinds(path: Path, items: Sequence[Binomial], spec: InsertCorpus) -> dict[str, str]:
    """The kind of each item by its name; empty without a `kind_column`."""
    if spec.kind_column is None:
        return {item.alpha: "" for item in items}
    rows = list(read_rows(path))
    require_columns(path, rows, [spec.kind_column])
    every = read_words(path, spec.word1, spec.word2)
    kinds = {
        item.alpha: row[spec.kind_column].strip()
        for item, (_, row) in zip(every, rows, strict=True)
    }
    return {item.alpha: kinds[item.alpha] for item in items}


def read_templates(path: Path) -> list[Template]:
    """Templates in the order of the file. Raises ValueError for each line without one slot."""
    rows = list(read_rows(path))
    require_columns(path, rows, ["template"])
    problems = Problems()
    templates = []
    for line, row in rows:
        place = f"{path}, line {line}"
        text = row["template"].strip()
        if text.count(SLOT) != 1:
            problems.add(f"{place}: {text!r} should have {SLOT} once, where the item goes")
        templates.append(Template(text, row.get("kind", "").strip(), place))
    problems.raise_any()
    return templates


def fitting(templates: Sequence[Template], kinds: Mapping[str, str]) -> dict[str, list[Template]]:
    """The templates of each kind of item, those without a kind among them.

    Raises ValueError for an item without any.
    """
    found: dict[str, list[Template]] = {}
    for item, kind in kinds.items():
        found[kind] = [template for template in templates if template.kind in ("", kind)]
        if not found[kind]:
            there = {template.kind for template in templates}
            raise ValueError(
                f"there is no template for {item!r}, of kind {kind!r}; {nearest(kind, there)}. "
                "`kind_column` names the column of the items with their kind"
            )
    return found


def read_counts(
    path: Path, items: Sequence[Binomial], word1: str = "Word1", word2: str = "Word2"
) -> dict[str, tuple[int, int]]:
    """How many sentences of each item to insert, in the alphabetical and in the other order, by
    the item's name. Raises ValueError with every line that is wrong."""
    rows = list(read_rows(path))
    require_columns(path, rows, [word1, word2, "alpha", "nonalpha"])
    by_name = _by_name(items)
    other_order = {item.nonalpha.casefold(): item for item in items}
    problems = Problems()
    counts: dict[str, tuple[int, int]] = {}
    for line, row in rows:
        name = " and ".join(row[column].strip() for column in (word1, word2))
        item = by_name.get(name.casefold())
        numbers = [row[order].strip() for order in ("alpha", "nonalpha")]
        if other := other_order.get(name.casefold()):
            problems.add(
                f"{path}, line {line}: {name!r} is not in alphabetical order, and alpha counts "
                f"that; write {other.word1!r} as {word1}, and the counts in their columns"
            )
        elif item is None:
            names = [item.alpha for item in items]
            problems.add(f"{path}, line {line}: {name!r} is no item; {nearest(name, names)}")
        elif item.alpha in counts:
            problems.add(f"{path}, line {line}: {name!r} has its counts already")
        elif not all(number.isdecimal() for number in numbers):
            problems.add(f"{path}, line {line}: counts must be whole numbers, not {numbers}")
        else:
            counts[item.alpha] = (int(numbers[0]), int(numbers[1]))
    problems.raise_any()
    return counts


def _by_name(items: Sequence[Binomial]) -> dict[str, Binomial]:
    return {item.alpha.casefold(): item for item in items}
