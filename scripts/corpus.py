"""Make a corpus: read its source, drop duplicates, hold documents out, write parquet files."""

import argparse
from pathlib import Path

from pydantic import TypeAdapter

from ontogeny.command import run
from ontogeny.corpus import documents, sources
from ontogeny.files import write_json
from ontogeny.origins import sha256_of
from ontogeny.paths import project_path
from ontogeny.study.corpora import Corpus, FactsCorpus, FilesCorpus, HubCorpus


def main() -> None:
    """Read the arguments, write the corpus and its provenance."""
    arguments = parse()
    given = spec = TypeAdapter(Corpus).validate_json(arguments.spec)
    if isinstance(spec, HubCorpus) and Path(project_path(spec.dataset)).is_dir():
        spec = spec.model_copy(update={"dataset": project_path(spec.dataset)})
    files = arguments.files
    if isinstance(spec, FilesCorpus | FactsCorpus) and not files:
        files = spec.files
    held_out_files = arguments.validation_files
    if isinstance(spec, FilesCorpus) and not held_out_files:
        held_out_files = spec.validation_files
    described = {
        "files": [describe(path) for path in files],
        "validation_files": [describe(path) for path in held_out_files],
    }

    counts = documents.write_corpus(
        sources.training_documents(spec, files),
        sources.validation_documents(spec, held_out_files),
        spec.holdout,
        spec.deduplicate,
        arguments.train,
        arguments.validation,
    )
    provenance = {"corpus": given.model_dump(), "documents": counts, "sources": described}
    write_json(arguments.provenance, provenance)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Make a corpus: read documents from the toy language, from files or from a "
        "dataset; drop empty and repeated ones; hold some out; write each split as a parquet file "
        "with the column `text`, and a provenance file with what was read and dropped."
    )
    parser.add_argument("--spec", required=True, help="the corpus of the study, as JSON")
    parser.add_argument("--files", nargs="*", default=[], help="its files, patterns expanded")
    parser.add_argument("--validation-files", nargs="*", default=[], help="its held-out files")
    parser.add_argument("--train", required=True, help="parquet file to write")
    parser.add_argument("--validation", required=True, help="parquet file to write")
    parser.add_argument("--provenance", required=True, help="JSON file to write")
    return parser.parse_args()


def describe(path: str) -> dict:
    """Name, size and sha256 of a source file."""
    return {"path": path, "bytes": Path(path).stat().st_size, "sha256": sha256_of(path)}


if __name__ == "__main__":
    run(main)
