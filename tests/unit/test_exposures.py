"""Exposures, next to a replay of training that looks at the characters of each sequence."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from phrase_search import ITEMS, TOKENIZERS, bpe, make_corpus, random_texts, slow_search, spans_of
from scipy import sparse

from ontogeny.corpus.tokenizer import load_tokenizer
from ontogeny.corpus.tokens import read_tokens
from ontogeny.exposure import counts, read_exposures
from ontogeny.exposure.counts import COLUMNS, cumulative_counts, exposures
from ontogeny.exposure.occurrences import write_occurrences
from ontogeny.exposure.phrases import phrases_of
from ontogeny.scoring.stimuli.binomials import Binomial
from ontogeny.study.runs import Run
from ontogeny.training.order import data_order

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
BREAD = [Binomial("bread", "butter", True, None)]


def make_run(**keys):
    keys = {"steps": 10, "block_size": 16, "batch_size": 4, **keys}
    return Run(corpus="x", tokenizer="x", architecture="x", **keys)


def make_exposures(folder, texts, tokenizer, run, items=ITEMS):
    meta = make_corpus(folder, texts, tokenizer)
    path = folder / "occurrences.parquet"
    documents, tokenizer = folder / "train.parquet", folder / "tokenizer.json"
    write_occurrences(phrases_of(items), documents, tokenizer, folder / "tokens", path)
    return exposures("name", run, meta["splits"]["train"]["tokens"], items, path)


def replay(folder, texts, run, items=ITEMS):
    """The same, slowly: at each step, what the sequences that training reads show of each document.

    A character is shown where all its tokens are, and a phrase where all its characters are that
    have any.
    """
    tokenizer, _ = load_tokenizer(folder / "tokenizer.json")
    meta = json.loads((folder / "tokens" / "meta.json").read_text())
    ids = read_tokens(folder / "tokens" / "train.bin", meta["dtype"])
    phrases = phrases_of(items)
    documents = []  # for each token: its document and characters
    places = []
    for number, text in enumerate(texts):
        spans = spans_of(tokenizer, text)
        documents += [(number, span) for span in spans]
        tokens_of = Counter(at for start, end in spans for at in range(start, end))
        found = [(phrase, place) for phrase in phrases for place in slow_search(phrase, text)]
        has_tokens = {at for at, count in tokens_of.items() if count}
        found = [(phrase, has_tokens.intersection(range(*place))) for phrase, place in found]
        places.append((tokens_of, found))
    assert len(documents) == len(ids)

    def shown(start):
        here = {}
        for number, (left, right) in documents[start : start + run.block_size]:
            here.setdefault(number, Counter()).update(range(left, right))
        result = Counter()
        for number, characters in here.items():
            tokens_of, found = places[number]
            whole = {at for at in characters if characters[at] == tokens_of[at]}
            result.update(phrase for phrase, place in found if place and place <= whole)
        return result

    by_block = {}
    seen = Counter()
    rows = []
    for step in range(run.last_step + 1):
        if step in run.checkpoint_steps():
            checkpoint = ("name", f"step-{step:08d}", step, step * run.tokens_per_step)
            for item in items:
                words = (item.word1, item.word2)
                one, two = (" ".join(word.lower().split()) for word in words)
                order = [f"{one} and {two}", f"{two} and {one}", one, two]
                order += [f"{one} and", f"{two} and", f"and {one}", f"and {two}"]
                rows.append((*checkpoint, item.alpha, *(seen[phrase] for phrase in order)))
        if step < run.last_step:
            blocks = len(ids) // run.block_size
            for start in (
                (data_order(run, blocks, step, step + 1) * run.block_size).ravel().tolist()
            ):
                if start not in by_block:
                    by_block[start] = shown(start)
                seen = seen + by_block[start]
    return rows


RUNS = {
    "one epoch, in part": {"steps": 15},
    "several epochs": {"steps": 40, "checkpoints": {"every_steps": 3}, "seed": 1},
    "in the order of the corpus": {"steps": 40, "shuffle": False, "checkpoints": {"log2": True}},
    "long blocks": {"block_size": 200, "batch_size": 2, "steps": 9},
    "short blocks": {"block_size": 3, "batch_size": 50, "steps": 60},
    "more than the corpus in a step": {"batch_size": 1000, "steps": 3, "checkpoints": {"at": [1]}},
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("most", [counts.MOST_SEQUENCES, 10])
def test_exposures_are_those_of_a_replay(tmp_path, monkeypatch, name, most):
    monkeypatch.setattr(counts, "MOST_SEQUENCES", most)
    texts, run = random_texts(name, 60, length=20), make_run(**RUNS[name])
    table = make_exposures(tmp_path, texts, bpe(), run)
    assert table.schema == COLUMNS
    assert table.rows() == replay(tmp_path, texts, run)
    assert table.filter(step=0).select(*counts.COUNTED).sum_horizontal().sum() == 0
    assert table.filter(step=run.last_step)["w1_total"].sum() > 50


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("name", TOKENIZERS)
def test_exposures_are_those_of_a_replay_with_each_tokenizer(tmp_path, name, shuffle):
    texts = random_texts(f"{name} {shuffle}", 40, length=20)
    run = make_run(steps=24, shuffle=shuffle, seed=3)
    table = make_exposures(tmp_path, texts, TOKENIZERS[name](), run)
    assert table.rows() == replay(tmp_path, texts, run)


def test_exposures_by_hand(tmp_path):
    """Tokens are characters after <s>: blocks of 8 hold `<s>bread a`, `nd butte`, `r<s>bread`
    (two characters short) ..."""
    texts = ["bread and butter", "bread"]
    tokenizer = TOKENIZERS["characters"]()
    run = make_run(steps=2, block_size=8, batch_size=2, shuffle=False, checkpoints={"at": [1]})
    table = make_exposures(tmp_path, texts, tokenizer, run, BREAD)
    # 23 tokens are 2 blocks: "<s>bread a", "nd butte"; the third is not whole
    assert table["w1_total"].to_list() == [0, 1, 2]
    assert table.select("w2_total", "alpha_seen", "w1_and", "and_w2").sum().row(0) == (0, 0, 0, 0)
    run = make_run(steps=3, block_size=23, batch_size=1, shuffle=False, checkpoints={"at": [1, 2]})
    table = make_exposures(tmp_path, texts, tokenizer, run, BREAD)
    assert table["tokens"].to_list() == [0, 23, 46, 69]
    assert table["w1_total"].to_list() == [0, 2, 4, 6]
    assert table["alpha_seen"].to_list() == table["and_w2"].to_list() == [0, 1, 2, 3]
    assert table["nonalpha_seen"].to_list() == table["w2_and"].to_list() == [0, 0, 0, 0]


def test_counts_beyond_32_bits_are_exact():
    """One block, in which a phrase is at every token, read 10,000 times."""
    run = make_run(steps=50, block_size=1 << 20, batch_size=200)
    per_block = sparse.csr_array(np.array([[1 << 20, 0, 7]], np.int32))
    seen = cumulative_counts(per_block, run, [0, 1, 25, 50])
    assert seen.tolist() == [[n * 200 << 20, 0, n * 200 * 7] for n in (0, 1, 25, 50)]


def test_a_corpus_of_less_than_a_block_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="4 tokens are less than one sequence of 16"):
        make_exposures(tmp_path, ["bread and butter"], bpe(), make_run(), BREAD)


def test_read_exposures_reads_what_is_written_and_nothing_else(tmp_path):
    table = make_exposures(tmp_path, random_texts("csv", 50), bpe(), make_run())
    table.write_csv(tmp_path / "run.csv")
    assert read_exposures(tmp_path / "run.csv").equals(table)
    table.drop("w1_and").write_csv(tmp_path / "run.csv")
    with pytest.raises(ValueError, match=r"run\.csv: its columns should be run, checkpoint, "):
        read_exposures(tmp_path / "run.csv")
    table.with_columns(w1_and=pl.lit("many")).write_csv(tmp_path / "run.csv")
    with pytest.raises(ValueError, match=r"run\.csv: .*w1_and.*remove it"):
        read_exposures(tmp_path / "run.csv")


def script(name, *arguments):
    command = [sys.executable, SCRIPTS / f"{name}.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_the_scripts(tmp_path):
    texts, run = random_texts("scripts", 50), make_run(steps=30)
    make_corpus(tmp_path, texts, bpe())
    items, others = tmp_path / "items.csv", tmp_path / "others.csv"
    items.write_text("Word1,Word2\na,b\nbread,butter\nMr.,Mrs.\n")
    others.write_text("Word1,Word2\na,b\n")
    options = ("--documents", tmp_path / "train.parquet", "--tokens-folder", tmp_path / "tokens")
    options += ("--tokenizer", tmp_path / "tokenizer.json", "--output", tmp_path / "x.parquet")
    done = script("occurrences", "--items", items, *options, "--threads", 2)
    assert done.returncode == 0, done.stderr
    assert "1 of 3 items occur in the text (" in done.stderr
    assert done.stderr.endswith("; 2 never: a and b, Mr. and Mrs.\n")
    spec = run.model_dump_json(exclude_defaults=True)
    options = ("--name", "name", "--run", spec, "--occurrences", tmp_path / "x.parquet")
    options += ("--meta", tmp_path / "tokens" / "meta.json", "--output", tmp_path / "x.csv")
    options += ("--documents", tmp_path / "tokens" / "train.documents.npy")
    done = script("exposures", "--items", others, *options)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path / 'x.parquet'}: it holds the occurrences of")
    assert not (tmp_path / "x.csv").exists()
    done = script("exposures", "--items", items, *options)
    assert done.returncode == 0, done.stderr
    expected = [Binomial(*words, True, None) for words in (("a", "b"), ("bread", "butter"))]
    expected.append(Binomial("Mr.", "Mrs.", True, None))
    assert read_exposures(tmp_path / "x.csv").rows() == replay(tmp_path, texts, run, expected)
