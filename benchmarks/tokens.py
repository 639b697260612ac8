# ruff: noqa: E402
"""How fast a corpus, a tokenizer and tokens are made, and in how much memory.

    python benchmarks/tokens.py [TEXT_FILE] [--megabytes 1000] [--vocab-size 8192]

Makes a large text from a small one: its lines over and over, in a new order each time, with a
number of their own at the end of each, so that no two documents are alike and each one has a word
that was never seen before. Runs the scripts as the workflow does, each in its own process, and
prints a row of a Markdown table for each; the tokenizer is trained on the small text. Without
a text file, that is the built-in toy language.

With `--naive`, some of the documents are also encoded by the `tokenizers` library alone.
"""

import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
# Python puts this folder first, where this file would stand for the standard library's `tokenize`.
sys.path[0] = str(SCRIPTS)

import argparse
import json
import os
import random
import subprocess
import tempfile
import time


def main() -> None:
    """Make the text, run the stages, print the table."""
    arguments = parse()
    spec = {"type": arguments.type, "corpus": "x"}
    if arguments.type == "bpe":
        spec["vocab_size"] = arguments.vocab_size
    print("| stage | text, MB | tokens | threads | seconds | MB/s | tokens/s | peak memory, MB |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        lines = source_lines(arguments.text)
        sizes = {"small": 1, "large": arguments.megabytes * 1_000_000}
        for text, size in sizes.items():
            sizes[text] = make_text(lines, folder / f"{text}.txt", size)
            seconds, peak = run("corpus", corpus_options(folder, text))
        row("corpus", sizes["large"], 0, seconds, peak)

        tokenizer = folder / "tokenizer.json"
        options = ["--spec", json.dumps(spec), "--documents", folder / "small.parquet"]
        options += ["--output", tokenizer, "--output-config", folder / "tokenizer_config.json"]
        row(f"tokenizer ({arguments.type})", sizes["small"], 0, *run("tokenizer", options))

        options = ["--tokenizer", tokenizer, "--train-documents", folder / "large.parquet"]
        options += ["--validation-documents", folder / "large-validation.parquet"]
        seconds, peak = run("tokens", [*options, "--output-folder", folder])
        splits = json.loads((folder / "meta.json").read_text())["splits"].values()
        tokens = sum(split["tokens"] for split in splits)
        row(f"tokens ({arguments.type})", sizes["large"], tokens, seconds, peak)
        if arguments.naive:
            seconds, tokens, size = encode_naively(tokenizer, folder / "large.parquet")
            row(f"the library alone ({arguments.type})", size, tokens, seconds, None)


def corpus_options(folder: Path, text: str) -> list:
    """Arguments of corpus.py for one of the two texts."""
    source = folder / f"{text}.txt"
    spec = {"source": "files", "files": [str(source)]}
    return [
        *("--spec", json.dumps(spec), "--files", source),
        *("--train", folder / f"{text}.parquet"),
        *("--validation", folder / f"{text}-validation.parquet"),
        *("--provenance", folder / f"{text}.json"),
    ]


def row(stage: str, size: int, tokens: int, seconds: float, peak: float | None) -> None:
    """Print a row of the table. `size` in bytes, `peak` in MB."""
    threads = os.environ.get("OMP_NUM_THREADS", os.cpu_count())
    rate = f"{tokens / seconds:,.0f}" if tokens else ""
    count = f"{tokens:,}" if tokens else ""
    memory = f"{peak:,.0f}" if peak else ""
    megabytes = size / 1e6
    print(
        f"| {stage} | {megabytes:,.0f} | {count} | {threads} | {seconds:.1f} | "
        f"{megabytes / seconds:.1f} | {rate} | {memory} |",
        flush=True,
    )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("text", nargs="?", type=Path, help="UTF-8 text file, a document a line")
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the text to make")
    parser.add_argument("--type", choices=["bpe", "characters"], default="bpe")
    parser.add_argument("--vocab-size", type=int, default=8192, help="of the BPE tokenizer")
    parser.add_argument("--naive", action="store_true", help="also time the library alone")
    parser.add_argument("--folder", help="where temporary files go, some 3 times the text")
    return parser.parse_args()


def source_lines(text: Path | None) -> list[str]:
    """Lines of a text file, or stories of the toy language."""
    if text:
        return [line for line in text.read_text(encoding="utf-8").split("\n") if line.strip()]
    from ontogeny.corpus import sources, toy

    language = toy.load_language(sources.TOY_FOLDER, seed=1)
    return list(toy.documents(language, seed=0, words=1_000_000))


def make_text(lines: list[str], path: Path, size: int) -> int:
    """Write all lines, shuffled and numbered, until there are `size` bytes; return how many."""
    rng = random.Random(0)
    written = number = 0
    with path.open("wb") as file:
        while written < size:
            for line in rng.sample(lines, len(lines)):
                number += 1
                written += file.write(f"{line} {number}\n".encode())
    return written


def run(stage: str, options: list) -> tuple[float, float]:
    """Run a script; return its seconds, start of Python included, and peak memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, SCRIPTS / f"{stage}.py", *options])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"error: {stage}.py failed")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss: bytes, or KiB
    return time.perf_counter() - start, usage.ru_maxrss * unit / 1e6


def encode_naively(tokenizer_path: Path, documents: Path) -> tuple[float, int, int]:
    """Seconds, tokens and bytes of the library's own `encode_batch_fast`, on one batch."""
    from ontogeny.corpus.tokenizer import load_tokenizer
    from ontogeny.corpus.tokens import read_batches

    tokenizer, _ = load_tokenizer(tokenizer_path)
    texts = next(read_batches(documents)).to_pylist()
    start = time.perf_counter()
    count = sum(len(encoding) for encoding in tokenizer.encode_batch_fast(texts))
    return time.perf_counter() - start, count, sum(len(text.encode()) for text in texts)


if __name__ == "__main__":
    main()
