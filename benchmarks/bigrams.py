"""How fast a run's text is read again for the bigram model of its minimal pairs.

    python benchmarks/bigrams.py TEXT_FILE PAIRS [--tokens 100] [--checkpoints 1000]

The tokenizer is byte-level BPE of 8,192 tokens, trained on the text. The corpus is the text's
tokens, over and over in random order of lines, ten million in all. PAIRS: minimal pairs, such as
blimp.zip. A run reads so many million tokens in blocks of 1,024; all pairs are scored at each
checkpoint.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "scripts"))

import numpy as np
from tables import print_machine, print_table

from ontogeny.corpus.tokenizer import load_tokenizer, save_tokenizer, train_bpe
from ontogeny.exposure.bigrams import BigramModel, pair_tokens, replayed
from ontogeny.scoring.index import make_index, pair_strings
from ontogeny.scoring.stimuli.minimal_pairs import read_minimal_pairs
from ontogeny.study.models import BpeTokenizer
from ontogeny.study.runs import Run

MILLION = 1_000_000
CORPUS_TOKENS = 10 * MILLION


def main() -> None:
    """Tokenise text and pairs, read the run's text again, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("text", type=Path, help="UTF-8 text file, a document a line")
    parser.add_argument("pairs", type=Path, help="minimal pairs, as a study takes them")
    parser.add_argument("--tokens", type=int, default=100, help="million tokens that the run reads")
    parser.add_argument("--checkpoints", type=int, default=1000, help="default: %(default)s")
    args = parser.parse_args()
    print_machine(["numpy", "scipy"], 1)
    lines = [line for line in args.text.read_text(encoding="utf-8").split("\n") if line.strip()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tokenizer.json")
        spec = BpeTokenizer(type="bpe", corpus="x", vocab_size=8192)
        save_tokenizer(train_bpe(spec, lines), path, Path(folder, "tokenizer_config.json"))
        tokenizer, info = load_tokenizer(path)
    index = make_index(pair_strings(read_minimal_pairs(args.pairs)), tokenizer, info, "")
    documents = [np.array(one.ids, dtype=np.uint16) for one in tokenizer.encode_batch(lines)]
    order = np.random.default_rng(0).integers(0, len(documents), CORPUS_TOKENS // 5)
    corpus = np.concatenate([documents[i] for i in order])[:CORPUS_TOKENS]
    model = BigramModel(pair_tokens(index.trie, info.vocab_size))
    run = Run(
        corpus="x", tokenizer="x", architecture="x", tokens=args.tokens * MILLION,
        block_size=1024, batch_size=8,
        checkpoints={"every_tokens": args.tokens * MILLION // args.checkpoints},
    )  # fmt: skip
    steps = run.checkpoint_steps()
    start = time.perf_counter()
    for _ in replayed(run, corpus, model, steps):
        pass
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    head = ("pairs", "bigrams", "tokens read", "checkpoints", "seconds", "peak memory, MB")
    row = (len(model.pairs.lengths), len(model.keys), args.tokens * MILLION, len(steps))
    print_table(
        "A run's bigrams, read again", head,
        [(*(f"{count:,}" for count in row), f"{seconds:.1f}", f"{peak:,.0f}")],
    )  # fmt: skip


if __name__ == "__main__":
    main()
