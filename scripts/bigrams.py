"""Read a run's training text again, in its order, and tell at every checkpoint which sentence of
each minimal pair a bigram model of what was read until then prefers."""

import argparse
from pathlib import Path

import polars as pl

from ontogeny.analysis.bigram_hypothesis import PAIRS, class_statistics
from ontogeny.command import run as run_command
from ontogeny.corpus.tokens import read_tokens
from ontogeny.exposure.bigrams import BigramModel, pair_tokens, replayed
from ontogeny.files import read_json, replacing
from ontogeny.progress import Progress
from ontogeny.scoring.index import load_index
from ontogeny.study.runs import read_run
from ontogeny.study.schedule import checkpoint_name, reported_steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="name of the run")
    parser.add_argument("--run", required=True, help="the run as JSON, as in a study")
    parser.add_argument("--probe", required=True, help="name of the minimal pairs probe")
    parser.add_argument("--tokens", type=Path, required=True, help="train.bin of the run's corpus")
    parser.add_argument("--meta", type=Path, required=True, help="its meta.json")
    parser.add_argument(
        "--documents", type=Path, required=True, help="where its documents begin (.npy)"
    )
    parser.add_argument("--index", type=Path, required=True, help="index of the probe")
    parser.add_argument(
        "--classes", type=Path, required=True, help="table of paradigms at every checkpoint (CSV)"
    )
    parser.add_argument(
        "--pairs", type=Path, required=True, help="table of pairs at some checkpoints (CSV)"
    )
    args = parser.parse_args()
    run, meta = read_run(args.run), read_json(args.meta)
    index = load_index(args.index, meta["tokenizer_sha256"])
    pairs = pair_tokens(index.trie, index.vocab_size)
    steps = run.checkpoint_steps()
    kept = reported_steps(steps)
    classes, tables = [], []
    text = read_tokens(args.tokens, meta["dtype"])
    with Progress(f"{args.name} bigrams", steps[-1], "steps") as progress:
        done = 0
        for step, bigram, unigram in replayed(run, text, BigramModel(pairs), steps, args.documents):
            columns = {
                "run": args.name,
                "probe": args.probe,
                "checkpoint": checkpoint_name(step),
                "step": step,
                "tokens": step * run.tokens_per_step,
                **index.labels,
                "bigram_difference": bigram,
                "unigram_difference": unigram,
                "length_difference": pairs.lengths,
            }
            table = pl.DataFrame(columns, schema_overrides=PAIRS).select(*PAIRS)
            classes.append(class_statistics(table))
            tables += [table] if step in kept else []
            progress.advance(step - done, f"step {step:,}")
            done = step
    with replacing(args.classes) as temporary:
        pl.concat(classes).write_csv(temporary)
    with replacing(args.pairs) as temporary:
        pl.concat(tables).write_csv(temporary)


if __name__ == "__main__":
    run_command(main)
