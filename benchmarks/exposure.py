"""How fast items are found in a corpus, and exposures counted, and in how much memory.

    python benchmarks/exposure.py TEXT_FILE ITEMS.csv [--words 20] [--threads 2]

The corpus is the text's lines over and over, a document each, until there are so many million
words; the tokenizer is byte-level BPE, trained on the text. The search is timed alone, in this
process, and with the places of the tokens, as the workflow runs it: scripts/occurrences.py in a
process of its own. Exposures are counted by scripts/exposures.py for a run of 1,000 checkpoints
over occurrences that are drawn at random: as many in 100 million tokens as the text has.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
sys.path.append(str(SCRIPTS))

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from tables import print_machine, print_table  # noqa: E402

from ontogeny.corpus.tokenizer import save_tokenizer, train_bpe  # noqa: E402
from ontogeny.corpus.tokens import read_batches, write_tokens  # noqa: E402
from ontogeny.exposure.occurrences import FIELDS, PHRASES, STORAGE  # noqa: E402
from ontogeny.exposure.phrases import PhraseFinder, phrases_of  # noqa: E402
from ontogeny.scoring.stimuli.binomials import read_words  # noqa: E402
from ontogeny.study.models import BpeTokenizer  # noqa: E402

# The peak of a process counts that of the one that it was started from, so a small one does that.
MEASURE = """import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)"""
ROW_GROUP = 65_536
SYNTHETIC_TOKENS = 100_000_000
RUN = {
    "corpus": "x",
    "tokenizer": "x",
    "architecture": "x",
    "tokens": 1_000_000_000,
    "block_size": 1024,
    "batch_size": 8,
}


def main() -> None:
    """Make the corpus, find the items, count exposures; print a table of each."""
    arguments = parse()
    phrases = phrases_of(read_words(arguments.items))
    print_machine(["polars", "pyarrow", "numpy", "scipy"], arguments.threads)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        words = make_corpus(arguments.text, arguments.words * 1_000_000, folder)
        meta = make_tokens(arguments.text, folder)
        rows = [search_row(phrases, folder, words, arguments.threads)]
        rows.append(script_row(arguments.items, folder, words, arguments.threads))
        head = ("stage", "words", "threads", "seconds", "words/s", "peak memory, MB")
        print_table(f"Occurrences of {len(phrases):,} phrases", head, rows)

        found = pq.read_table(folder / "occurrences.parquet")
        count = len(found) * SYNTHETIC_TOKENS // meta["splits"]["train"]["tokens"]
        make_occurrences(found, count, phrases, folder)
        print_table(
            f"Exposures: {SYNTHETIC_TOKENS:,} tokens, {count:,} occurrences",
            ("tokens of the run", "checkpoints", "rows", "seconds", "peak memory, MB"),
            [exposures_row(arguments.items, tokens, folder) for tokens in (10**9, 10**10)],
        )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("text", type=Path, help="UTF-8 text file, a document a line")
    parser.add_argument("items", type=Path, help="CSV with Word1 and Word2")
    parser.add_argument("--words", type=int, default=20, help="million words in the corpus")
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--folder", help="where temporary files go")
    return parser.parse_args()


def lines_of(text: Path) -> list[str]:
    """Lines that are not empty."""
    return [line for line in text.read_text(encoding="utf-8").split("\n") if line.strip()]


def make_corpus(text: Path, words: int, folder: Path) -> int:
    """Write `train.parquet`; return its words."""
    lines = lines_of(text)
    lengths = [len(line.split()) for line in lines]
    documents = len(lines) * words // sum(lengths)
    repeated = cycle(lines)
    schema = pa.schema([("text", pa.large_string())])
    with pq.ParquetWriter(folder / "train.parquet", schema, compression="zstd") as writer:
        for start in range(0, documents, ROW_GROUP):
            group = list(islice(repeated, min(ROW_GROUP, documents - start)))
            writer.write_table(pa.table([pa.array(group, pa.large_string())], schema=schema))
    return sum(islice(cycle(lengths), documents))


def make_tokens(text: Path, folder: Path) -> dict:
    """Train a tokenizer on the text, encode the corpus; return the meta data of its tokens."""
    tokenizer = train_bpe(BpeTokenizer(type="bpe", corpus="x", vocab_size=8192), lines_of(text))
    path = folder / "tokenizer.json"
    save_tokenizer(tokenizer, path, folder / "tokenizer_config.json")
    return write_tokens(path, {"train": folder / "train.parquet"}, folder)


def search_row(phrases: list[str], folder: Path, words: int, threads: int) -> tuple:
    """Time the search alone, batches of text that are in memory."""
    finder = PhraseFinder(phrases)
    batches = list(read_batches(folder / "train.parquet"))
    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(finder.find, batches))
    seconds = time.perf_counter() - start
    cells = ("search alone", f"{words:,}", threads, f"{seconds:.1f}", f"{words / seconds:,.0f}")
    return (*cells, "")


def script_row(items: Path, folder: Path, words: int, threads: int) -> tuple:
    """Time occurrences.py, all included."""
    options = ["--items", items, "--documents", folder / "train.parquet", "--threads", threads]
    options += ["--tokenizer", folder / "tokenizer.json", "--tokens-folder", folder]
    seconds, peak = run("occurrences", [*options, "--output", folder / "occurrences.parquet"])
    cells = ("occurrences.py", f"{words:,}", threads, f"{seconds:.1f}", f"{words / seconds:,.0f}")
    return (*cells, f"{peak:,.0f}")


def make_occurrences(found: pa.Table, count: int, phrases: list[str], folder: Path) -> None:
    """Write so many occurrences anywhere in the synthetic corpus, of phrases and spans as found."""
    rng = np.random.default_rng(0)
    chosen = found.take(rng.integers(0, len(found), count))
    first = np.sort(rng.integers(0, SYNTHETIC_TOKENS - 1000, count)).astype(np.uint64)
    schema = pa.schema(FIELDS, {PHRASES: json.dumps(phrases)})
    table = pa.table([chosen["phrase"], first, chosen["span"]], schema=schema)
    pq.write_table(table, folder / "synthetic.parquet", row_group_size=ROW_GROUP, **STORAGE)


def exposures_row(items: Path, tokens: int, folder: Path) -> tuple:
    """Time exposures.py, all included."""
    spec = {**RUN, "tokens": tokens, "checkpoints": {"every_tokens": tokens // 1000}}
    meta, output = folder / "synthetic.json", folder / "exposures.csv"
    meta.write_text(json.dumps({"splits": {"train": {"tokens": SYNTHETIC_TOKENS}}}))
    options = ["--name", "x", "--run", json.dumps(spec), "--items", items, "--meta", meta]
    options += ["--occurrences", folder / "synthetic.parquet", "--output", output]
    seconds, peak = run("exposures", options)
    with output.open() as file:
        rows = sum(1 for _ in file) - 1
    checkpoints = rows // len(read_words(items))
    return f"{tokens:,}", f"{checkpoints:,}", f"{rows:,}", f"{seconds:.1f}", f"{peak:,.0f}"


def run(script: str, options: list) -> tuple[float, float]:
    """Run a script; return its seconds, start of Python included, and peak memory in MB."""
    command = [sys.executable, SCRIPTS / f"{script}.py", *map(str, options)]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"error: {script}.py failed")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss: bytes, or KiB
    return seconds, int(done.stdout) * unit / 1e6


if __name__ == "__main__":
    main()
