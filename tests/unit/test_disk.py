"""What the results of a study take on disk, and what of it can go."""

import os
import subprocess
import sys

import pytest
import yaml

from ontogeny.disk import leftovers, run_files, unknown_runs, unknown_scores
from ontogeny.paths import PROJECT
from ontogeny.study import load_study

RUN = {
    "corpus": "toy",
    "tokenizer": "bpe",
    "architecture": "gpt",
    "steps": 10,
    "block_size": 16,
    "batch_size": 4,
    "checkpoints": {"every_steps": 5, "per_segment": 1},
}
STUDY = {
    "study": "small",
    "corpora": {"toy": {"source": "toy", "words": 9000}},
    "tokenizers": {"bpe": {"type": "bpe", "corpus": "toy", "vocab_size": 300}},
    "architectures": {
        "gpt": {"model_type": "gpt2", "config": {"n_embd": 8, "n_layer": 2, "n_head": 2}}
    },
    "probes": {
        "held-out": {"type": "perplexity", "max_tokens": 700},
        "grammar": {"type": "minimal_pairs", "pairs_from": "toy"},
    },
    "runs": {"one": RUN, "two": {**RUN, "seed": 2}},
}
SIZES = {
    "runs/one/checkpoints/step-00000000/model.safetensors": 1000,
    "runs/one/checkpoints/step-00000005/model.safetensors": 1000,
    "runs/one/checkpoints/step-00000010/model.safetensors": 1000,
    "runs/one/state/0000.safetensors": 2500,
    "scores/held-out/one/step-00000000.csv": 30,
    "scores/held-out/one/step-00000005.csv": 30,
    "scores/grammar/one/step-00000000.csv": 40,
    "scores/grammar/one/step-00000005.csv": 40,
    "scores/grammar/one/step-00000010.csv": 40,
    "runs/one/segments/0000.manifest.json": 8,
    "runs/one/segments/0001.manifest.json": 8,
    "runs/one/segments/0000.scores.json": 8,
    "runs/one/segments/0001.scores.json": 8,
    "index/grammar/bpe.safetensors": 9,
    "tokens/toy/bpe/validation.bin": 9,
    "tokenizers/bpe/tokenizer.json": 9,
    "runs/two/checkpoints/step-00000000/.model.safetensors.4711.tmp": 600,
    "runs/old/checkpoints/step-00000003/model.safetensors": 7,
    "tables/old/losses.csv": 5,
    "exposures/items/old.csv": 6,
    "exposures/items/one.csv": 6,
    "published/old.json": 3,
    "published/old/README.md": 3,
    "scores/gone/one/step-00000000.csv": 4,
    "scores/grammar/one/step-00000000.csv.zst": 4,
    "corpora/toy/train.parquet": 100,
}


SCORED = [f"runs/one/checkpoints/step-0000000{step}/model.safetensors" for step in (0, 5)]


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "results" / "small"
    for name, size in SIZES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(bytes(size))
        os.utime(root / name, (1e9, 1e9))
    return root


def names(files, root):
    return sorted(str(path.relative_to(root)) for path in files.paths)


def test_files_of_each_run_are_counted(root):
    one, two = run_files(load_study(STUDY), root)
    assert (one.run, two.run) == ("one", "two")
    assert (len(one.weights), one.weights.bytes()) == (3, 3000)
    assert (one.states.bytes(), len(one.scores), one.scores.bytes()) == (2500, 5, 180)
    assert names(one.scored, root) == SCORED  # step 10 lacks a score file
    assert (len(two.weights), two.states.bytes(), len(two.scores)) == (0, 0, 0)


@pytest.mark.parametrize(
    "name",
    [
        "runs/one/segments/0000.manifest.json",
        "index/grammar/bpe.safetensors",
        "tokens/toy/bpe/validation.bin",
        "tokenizers/bpe/tokenizer.json",
    ],
)
def test_weights_that_are_to_be_scored_again_are_kept(root, name):
    os.utime(root / name)
    study = load_study(STUDY)
    files = [f"scores/{probe}/one/step-0000000{n}.csv" for probe in study.probes for n in (0, 5)]
    for file in ("runs/one/segments/0000.scores.json", *files):  # scoring makes one after another
        assert len(run_files(study, root)[0].scored) == 0
        os.utime(root / file)
    assert names(run_files(study, root)[0].scored, root) == SCORED


@pytest.mark.parametrize(
    "name",
    [
        "scores/held-out/one/step-00000005.csv",
        "runs/one/segments/0000.scores.json",
        "runs/one/segments/0000.manifest.json",
    ],
)
def test_a_segment_that_is_in_training_or_not_wholly_scored_keeps_all_its_weights(root, name):
    (root / name).unlink()
    assert len(run_files(load_study(STUDY), root)[0].scored) == 0


def test_a_run_that_is_not_scored_has_no_scored_weights(root):
    one = run_files(load_study({**STUDY, "probes": {}}), root)[0]
    assert (len(one.weights), len(one.scored)) == (3, 0)


def test_what_nothing_needs_is_found(root):
    half = [
        "corpora/toy/.documents-abc/training.parquet",
        "corpora/toy/.shuffled-abc/0.bin",
        "runs/one/segments/.0001.downloads/.cache/of/model.safetensors",
        "runs/two/checkpoints/step-00000000/.model.safetensors.4711.tmp",
    ]
    for name in half[:3]:
        (root / name).parent.mkdir(parents=True)
        (root / name).touch()
    assert names(leftovers(root), root) == half
    unknown = unknown_runs(load_study(STUDY), root)
    assert list(unknown) == ["old"]
    assert names(unknown["old"], root) == [
        *("exposures/items/old.csv", "published/old.json", "published/old/README.md"),
        *("runs/old/checkpoints/step-00000003/model.safetensors", "tables/old/losses.csv"),
    ]
    strays = ["scores/gone/one/step-00000000.csv", "scores/grammar/one/step-00000000.csv.zst"]
    assert names(unknown_scores(load_study(STUDY), root), root) == strays
    compressed = load_study({**STUDY, "score_files": "csv.zst"})
    assert len(unknown_scores(compressed, root)) == 6


@pytest.fixture
def disk(root, tmp_path):
    def disk(*args):
        study = tmp_path / "study.yaml"
        study.write_text(yaml.safe_dump(STUDY))
        command = [sys.executable, str(PROJECT / "scripts/disk.py"), str(study), *args]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    return disk


def test_the_script_prints_a_table_and_what_can_go(disk, root, tmp_path):
    code, printed, errors = disk()
    assert (code, errors) == (0, "")
    lines = printed.splitlines()
    assert lines[0] == f"results/small: {sum(SIZES.values()) / 1e9:.2g} GB"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:6]]
    assert cells[2] == ["one", "3", "3e-06", "2", "2e-06", "2.5e-06", "5", "1.8e-07"]
    assert cells[3] == ["two", "0", "0", "0", "0", "0", "0", "0"]
    assert "Left by jobs that were killed: 1 files, 6e-07 GB." in lines
    assert "Results of old, which the study does not name: 5 files, 2.4e-08 GB." in lines
    strays = "Score files that the study does not name (any more): 2 files, 8e-09 GB."
    assert strays in lines
    for what, expected in (("scored", 2), ("leftovers", 1), ("unknown", 7)):
        code, printed, _ = disk("--removable", what)
        paths = printed.splitlines()
        assert (code, len(paths)) == (0, expected)
        for path in paths:
            (tmp_path / path).unlink()
    assert disk("--removable", "scored") == (0, "", "")


def test_a_study_without_results_is_told(disk, root):
    root.rename(root.with_name("other"))
    code, printed, errors = disk()
    assert (code, printed) == (1, "")
    assert errors.startswith("error: results/small: there is no such folder; nothing of ")


def test_results_at_a_scale_are_pointed_at(disk, root, tmp_path, monkeypatch):
    monkeypatch.setitem(STUDY, "scales", {"tiny": {}, "huge": {}})
    root.rename(root.with_name("small-tiny"))
    code, _, errors = disk()
    folder = "results/small: there is no such folder"
    assert (code, errors) == (
        1,
        f"error: {folder}; for what was made at a scale: --scale tiny\n",
    )
