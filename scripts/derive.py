"""Make a corpus from others of the study: a mix, a part, or one with sentences removed or added."""

import argparse
from pathlib import Path

from pydantic import TypeAdapter

from ontogeny.command import run
from ontogeny.corpus.splits import Splits
from ontogeny.corpus.transforms import write_mix, write_take
from ontogeny.files import write_json
from ontogeny.interventions.insert import write_with_insertions
from ontogeny.interventions.remove import write_without
from ontogeny.origins import sha256_of
from ontogeny.study.corpora import DerivedCorpus, InsertCorpus, MixCorpus, RemoveCorpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="the corpus of the study, as JSON")
    parser.add_argument(
        "--source",
        nargs=3,
        action="append",
        required=True,
        metavar=("NAME", "TRAIN", "VALIDATION"),
        help="a corpus that it is made from: its name, and its two files; in the order of the spec",
    )
    parser.add_argument("--items", type=Path, help="CSV of the items of an intervention")
    parser.add_argument("--train", type=Path, required=True, help="parquet file to write")
    parser.add_argument("--validation", type=Path, required=True, help="parquet file to write")
    parser.add_argument("--provenance", required=True, help="JSON file to write")
    args = parser.parse_args()
    spec = TypeAdapter(DerivedCorpus).validate_json(args.spec)
    sources = [Splits(name, Path(train), Path(held_out)) for name, train, held_out in args.source]
    target = Splits("", args.train, args.validation)
    if isinstance(spec, MixCorpus):
        counts = write_mix(spec, sources, target)
    elif isinstance(spec, RemoveCorpus):
        counts = write_without(spec, args.items, sources[0], target)
    elif isinstance(spec, InsertCorpus):
        counts = write_with_insertions(spec, args.items, sources[0], target)
    else:
        counts = write_take(spec, sources[0], target)
    provenance = {"corpus": spec.model_dump(), "documents": counts}
    write_json(args.provenance, provenance | {"sources": [describe(source) for source in sources]})


def describe(source: Splits) -> dict:
    """A corpus that was read: its name, and the sha256 of its files."""
    hashes = {"train": sha256_of(source.train), "validation": sha256_of(source.validation)}
    return {"corpus": source.name, "sha256": hashes}


if __name__ == "__main__":
    run(main)
