"""How much memory and time scripts/score.py takes on many minimal pairs.

    python benchmarks/scoring_memory.py [--pairs 1000000] [--threads 2]

Makes a CSV of pairs, sentences of 8 to 12 words drawn from the toy language's lists and the same
with two neighbours exchanged: a harsh case, in which the sentences of different pairs share little.
Scores it with a small OPT of random weights in a process of its own, as a person would call it,
with what is default there. Prints a row of a Markdown table; its memory is read several times a
second, and what the script prints tells one stage from the next.
"""

import argparse
import csv
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
SCRIPTS = PROJECT / "scripts"
sys.path[0] = str(SCRIPTS)

from ontogeny.corpus.tokenizer import load_tokenizer, save_tokenizer, train_bpe  # noqa: E402
from ontogeny.study.models import Architecture, BpeTokenizer  # noqa: E402
from ontogeny.training.model import new_model, save_checkpoint  # noqa: E402

SHAPE = {
    "hidden_size": 128,
    "ffn_dim": 512,
    "word_embed_proj_dim": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
}
STAGES = ("reading the pairs, the model", "tokens and trie", "scoring", "CSV and summary")
READ_SECONDS = 0.1


@dataclass(frozen=True)
class Reading:
    """Resident memory of a process, in bytes, at a time."""

    time: float
    size: int


def main() -> None:
    """Make pairs and a model, score them, print the row."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument(
        "--vocab-size", type=int, default=800, help="default: %(default)s, 18 tokens a string"
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--batch-tokens", type=int, help="default: that of scripts/score.py")
    parser.add_argument("--folder", help="where temporary files go, some 0.5 GB")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        sentences = write_pairs(folder / "pairs.csv", arguments.pairs)
        make_model(folder, sentences, arguments.vocab_size)
        size = (folder / "pairs.csv").stat().st_size
        peak, seconds, peaks = score(folder, arguments)
    stages = [f"{name}, s" for name in STAGES] + [f"{name}, peak GB" for name in STAGES]
    cells = [
        f"{arguments.pairs:,}",
        f"{size / 1e6:,.0f}",
        f"{peak / 1e9:.2f}",
        f"{sum(seconds):.0f}",
        f"{arguments.pairs / sum(seconds):,.0f}",
        *(f"{value:.0f}" for value in seconds),
        *(f"{value / 1e9:.2f}" for value in peaks),
    ]
    head = ["pairs", "CSV, MB", "peak memory, GB", "seconds", "pairs/s", *stages]
    for row in (head, ["---"] * len(head), cells):
        print("|", " | ".join(row), "|")


def words() -> list[str]:
    """The toy language's words, each once."""
    columns = {"nouns": "word", "verbs": "word", "adjectives": "word", "names": "name"}
    found = []
    for file, column in {**columns, "places": "place"}.items():
        with open(PROJECT / "data" / "toy" / f"{file}.csv", encoding="utf-8", newline="") as rows:
            found += [row[column] for row in csv.DictReader(rows)]
    return list(dict.fromkeys([*found, "the", "and", "with", "saw", "of", "near", "a", "to"]))


def write_pairs(path: Path, count: int) -> list[str]:
    """Write `good,bad`; return the first good sentences."""
    rng, known, first = random.Random(0), words(), []
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["good", "bad"])
        for _ in range(count):
            good = rng.sample(known, rng.randint(8, 12))
            place = rng.randrange(len(good) - 1)
            bad = [*good[:place], good[place + 1], good[place], *good[place + 2 :]]
            rows.writerow([" ".join(good) + ".", " ".join(bad) + "."])
            if len(first) < 10_000:
                first.append(" ".join(good) + ".")
    return first


def make_model(folder: Path, sentences: list[str], vocab_size: int) -> None:
    """Write a tokenizer of the sentences and a model of random weights, as `transformers` would."""
    spec = BpeTokenizer(type="bpe", corpus="pairs", vocab_size=vocab_size)
    tokenizer = folder / "tokenizer.json"
    save_tokenizer(train_bpe(spec, sentences), tokenizer, folder / "tokenizer_config.json")
    _, info = load_tokenizer(tokenizer)
    model = new_model(Architecture(model_type="opt", config=SHAPE), info, 2, seed=0)
    save_checkpoint(model, folder / "model.safetensors", folder / "config.json")


def score(folder: Path, arguments: argparse.Namespace) -> tuple[int, list[float], list[int]]:
    """Run scripts/score.py; its peak memory in bytes, and seconds and peak of each stage."""
    options = ["--model", folder, "--probe", folder / "pairs.csv", "--output", folder / "out.csv"]
    options += ["--gpu", "0", "--threads", str(arguments.threads)]
    if arguments.batch_tokens:
        options += ["--batch-tokens", str(arguments.batch_tokens)]
    threads = str(arguments.threads)
    environment = {**os.environ, "RAYON_NUM_THREADS": threads, "POLARS_MAX_THREADS": threads}
    marks = [time.perf_counter()]
    process = subprocess.Popen(
        [sys.executable, SCRIPTS / "score.py", *options],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    readings: list[Reading] = []
    watcher = threading.Thread(target=watch, args=(process.pid, readings), daemon=True)
    watcher.start()
    for line in process.stderr:
        print(line, end="", file=sys.stderr)
        now = time.perf_counter()
        if "parameters;" in line:
            marks.append(now)
        elif scored := re.match(r"scoring: .* strings in ([\d.]+) s$", line):
            marks += [now - float(scored[1]), now]
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    marks.append(time.perf_counter())
    if process.returncode:
        sys.exit("error: score.py failed")
    seconds = [end - start for start, end in pairwise(marks)]
    peaks = [
        max((reading.size for reading in readings if start <= reading.time < end), default=0)
        for start, end in pairwise(marks)
    ]
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss: bytes, or KiB
    return usage.ru_maxrss * unit, seconds, peaks


def watch(process: int, readings: list[Reading]) -> None:
    """Read a process's resident memory until it ends; reads nothing where there is no /proc."""
    page = os.sysconf("SC_PAGE_SIZE")
    statistics = Path(f"/proc/{process}/statm")
    while True:
        try:
            pages = int(statistics.read_text().split()[1])
        except (OSError, IndexError):
            return
        if pages == 0:  # it has ended, and waits to be asked how
            return
        readings.append(Reading(time.perf_counter(), pages * page))
        time.sleep(READ_SECONDS)


if __name__ == "__main__":
    main()
