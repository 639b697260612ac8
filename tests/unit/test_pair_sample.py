"""A stated sample of minimal pairs."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy.stats import chisquare

from ontogeny.corpus.tokenizer import make_characters, save_tokenizer
from ontogeny.paths import PROJECT, Paths
from ontogeny.scoring.index import load_index
from ontogeny.scoring.stimuli.minimal_pairs import MinimalPair, read_minimal_pairs, sampled
from ontogeny.study.models import CharacterTokenizer
from ontogeny.study.probes import PairSample, Probe

BLIMP = PROJECT.parent / "shared/data/blimp.zip"
SIZES = {"c": 30, "a": 10, "b": 20}
PAIRS = [
    MinimalPair(uid, "agreement", str(number), f"good {uid} {number}", f"bad {uid} {number}")
    for uid, size in SIZES.items()
    for number in range(size)
]


@pytest.mark.parametrize("size", [{"pairs": 25}, {"per_class": 8}])
def test_a_sample_is_a_part_of_the_pairs_in_their_order(size):
    chosen = sampled(PAIRS, PairSample(**size, seed=3))
    places = [PAIRS.index(pair) for pair in chosen]
    assert places == sorted(set(places)) and len(places) == (25 if "pairs" in size else 24)
    assert sampled(PAIRS, PairSample(**size, seed=3)) == chosen
    assert sampled(PAIRS, PairSample(**size, seed=4)) != chosen
    assert places != list(range(len(places)))


def test_so_many_of_each_class():
    chosen = sampled(PAIRS, PairSample(per_class=8))
    assert Counter(pair.uid for pair in chosen) == {"a": 8, "b": 8, "c": 8}
    assert sampled(PAIRS, PairSample(per_class=10))[10:20] == PAIRS[30:40]


def test_all_pairs_are_a_sample_of_their_number():
    assert sampled(PAIRS, None) == PAIRS
    assert sampled(PAIRS, PairSample(pairs=60, seed=5)) == PAIRS


@pytest.mark.parametrize(("size", "n"), [({"pairs": 15}, 15), ({"per_class": 5}, 5)])
def test_every_pair_is_as_likely_as_another(size, n):
    """1,000 seeds; for classes, within each of them."""
    times = np.zeros(60)
    for seed in range(1000):
        for pair in sampled(PAIRS, PairSample(**size, seed=seed)):
            times[PAIRS.index(pair)] += 1
    classes = [times] if "pairs" in size else [times[:30], times[30:40], times[40:]]
    for of_class in classes:
        assert of_class.sum() == 1000 * n
        assert chisquare(of_class).pvalue > 0.001


def test_a_sample_larger_than_what_is_there_is_an_error():
    with pytest.raises(ValueError, match=r"^sample: 61 pairs are wanted, and there are 60$"):
        sampled(PAIRS, PairSample(pairs=61))
    with pytest.raises(ValueError, match=r"^sample: 11 pairs are wanted, and uid 'a' has 10$"):
        sampled(PAIRS, PairSample(per_class=11))


@pytest.mark.parametrize("size", [{}, {"pairs": 3, "per_class": 2}])
def test_a_sample_has_one_size(size):
    probe = {"type": "minimal_pairs", "pairs": "x.csv", "sample": {"seed": 1, **size}}
    with pytest.raises(ValidationError, match="give either `pairs` or `per_class`"):
        TypeAdapter(Probe).validate_python(probe)
    with pytest.raises(ValidationError):
        PairSample(pairs=0)


def test_samples_of_blimp_are_as_large_as_those_that_were_published():
    if not BLIMP.exists():
        pytest.skip(f"{BLIMP} is not here")
    pairs = read_minimal_pairs(BLIMP)
    of_each = Counter(pair.uid for pair in sampled(pairs, PairSample(pairs=2000, seed=42)))
    assert of_each.total() == 2000 and len(of_each) == 67
    assert min(of_each.values()) > 12 and max(of_each.values()) < 55  # published: 18 and 44
    of_each = Counter(pair.uid for pair in sampled(pairs, PairSample(per_class=200)))
    assert of_each.total() == 13_400 and set(of_each.values()) == {200}


def script(name, *arguments):
    command = [sys.executable, PROJECT / "scripts" / f"{name}.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_the_scripts_score_and_count_the_sample_alone(tmp_path):
    stimuli = tmp_path / "pairs.csv"
    lines = (f"{p.good},{p.bad},{p.uid},{p.phenomenon},{p.pair_id}\n" for p in PAIRS)
    stimuli.write_text("good,bad,uid,phenomenon,pair_id\n" + "".join(lines))
    spec = CharacterTokenizer(type="characters", corpus="x")
    tokenizer = tmp_path / "tokenizer.json"
    texts = [pair.good + pair.bad for pair in PAIRS]
    save_tokenizer(make_characters(spec, texts), tokenizer, tmp_path / "config.json")
    probe = {"type": "minimal_pairs", "pairs": "x.csv", "sample": {"per_class": 8, "seed": 1}}
    options = ("--stimuli", stimuli, "--tokenizer", tokenizer, "--output", tmp_path / "index")
    done = script("index", "--spec", json.dumps(probe), *options)
    assert done.returncode == 0, done.stderr
    chosen = sampled(PAIRS, PairSample(per_class=8, seed=1))
    labels = load_index(tmp_path / "index").labels
    assert labels["uid"] == [pair.uid for pair in chosen]
    assert labels["pair_id"] == [pair.pair_id for pair in chosen]

    run = {"corpus": "c", "tokenizer": "t", "architecture": "a", "steps": 1}
    run |= {"block_size": 4, "batch_size": 1}
    paths = Paths(str(tmp_path))
    for step in (0, 1):
        path = Path(paths.scores("blimp", "one", step))
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(
            {
                "model": "one",
                "checkpoint": f"step-{step:08d}",
                "step": step,
                "tokens": 4 * step,
                **labels,
                "preference": [1.0 if pair.uid == "a" else -1.0 for pair in chosen],
            }
        ).write_csv(path)
    arguments = ["--study-folder", tmp_path, "--name", "one", "--run", json.dumps(run)]
    arguments += ["--probe", "blimp", json.dumps(probe), stimuli, "--output", tmp_path / "table"]
    done = script("minimal_pairs", *arguments)
    assert done.returncode == 0, done.stderr
    table = pl.read_csv(tmp_path / "table").filter(step=1)
    found = dict(zip(table["uid"], zip(table["n"], table["accuracy"], strict=True), strict=True))
    assert found["a"] == (8, 1.0) and found["b"] == found["c"] == (8, 0.0)
    assert table.filter(phenomenon="all")["n"].to_list() == [24]
