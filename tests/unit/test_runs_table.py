"""The table of runs: what is in the study, and what the files of its runs say."""

import json

import polars as pl
import pytest

from ontogeny.paths import Paths
from ontogeny.runs_table import COLUMNS, runs_table
from ontogeny.study import load_study

RUN = {"steps": 6, "block_size": 8, "batch_size": 4}
REFERENCE = {"human": {"column": "GenPref"}}
STUDY = {
    "study": "s",
    "corpora": {"c": {"source": "toy", "words": 100}},
    "tokenizers": {"t": {"type": "bpe", "corpus": "c", "vocab_size": 300}},
    "architectures": {"a": {"model_type": "opt"}},
    "probes": {
        "b": {"type": "binomials", "items_from": "c", "prompts": "p.csv", "references": REFERENCE},
    },
    "grid": [
        {
            "corpora": ["c"],
            "architectures": ["a"],
            "tokenizers": ["t"],
            "seeds": [3, 5],
            "run": {**RUN, "checkpoints": {"every_steps": 2, "per_segment": 2}},
        }
    ],
    "runs": {
        "odd": {**RUN, "corpus": "c", "tokenizer": "t", "architecture": "a"}
        | {"optimizer": {"lr": 0.5, "warmup_tokens": 64, "max_grad_norm": None}},
        "told": {"source": "scores", "probe": "b", "files": ["*.csv"]},
    },
}
SIZES = {"parameters": 90, "trained": 80, "trained_without_positions": 70}


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def manifest(device="cpu", **versions):
    return {"device": device, "parameters": 90, "versions": {"ontogeny": "0.1.0", **versions}}


@pytest.fixture
def folder(tmp_path):
    """What the runs of the study leave, as far as the table reads it."""
    paths = Paths(str(tmp_path))
    write(tmp_path / "architectures/a/t.json", {**SIZES, "config": {}})
    for place, name in enumerate(("a-c-3", "a-c-5", "odd")):
        losses = "run,step,tokens,epoch,loss,lr,grad_norm\n"
        losses += f"{name},5,160,0.5,3.5,0.1,1.0\n{name},6,192,0.75,{place + 1.5},0.1,1.0\n"
        write(tmp_path / f"tables/{name}/losses.csv", losses)
        write(tmp_path / f"runs/{name}/segments/0000.manifest.json", manifest(commit="aaaaaaa"))
    later = manifest("H100", commit="bbbbbbb-dirty")
    write(tmp_path / "runs/a-c-3/segments/0001.manifest.json", later)
    write(tmp_path / "runs/a-c-5/segments/0001.manifest.json", manifest())  # of an earlier version
    write(
        tmp_path / "tables/told/completeness.csv",
        "run,step,tokens,expected,present,model,file,precision,multiple_of,rounding\n"
        "told,8,800,1,1,opt,x.csv,finer,,\ntold,16,1600,1,1,opt,y.csv,finer,,\ntold,24,2400,1,0,,,,,\n",
    )
    return paths


def test_trained_runs(folder):
    table = runs_table(load_study(STUDY), folder)
    assert dict(table.schema) == COLUMNS
    one, two, odd, _ = table.to_dicts()
    assert [one["run"], two["run"], odd["run"]] == ["a-c-3", "a-c-5", "odd"]
    assert [one["family"], two["family"], odd["family"]] == ["a-c", "a-c", None]
    assert [one["seed"], two["seed"], odd["seed"]] == [3, 5, 0]
    for row in (one, two, odd):
        assert row["source"] == "train" and row["model"] is None
        assert (row["corpus"], row["tokenizer"], row["architecture"]) == ("c", "t", "a")
        assert {key: row[key] for key in SIZES} == SIZES
        assert (row["batch_size"], row["block_size"]) == (4, 8)
        assert (row["steps"], row["tokens"], row["epochs"]) == (6, 6 * 4 * 8, 0.75)
        assert (row["schedule"], row["precision"], row["sampling"]) == ("linear", "fp32", "blocks")
        assert row["shuffle"] is True
    assert [one["last_loss"], two["last_loss"], odd["last_loss"]] == [1.5, 2.5, 3.5]
    assert one["checkpoints"] == 4  # 0, 2, 4, 6
    assert (one["lr"], one["warmup_share"], one["warmup_tokens"]) == (3e-4, 0.05, None)
    assert (odd["lr"], odd["warmup_share"], odd["warmup_tokens"]) == (0.5, None, 64)
    assert (one["max_grad_norm"], odd["max_grad_norm"]) == (1.0, None)


def test_what_made_them_is_told_of_all_segments(folder):
    one, two, odd, _ = runs_table(load_study(STUDY), folder).to_dicts()
    assert (one["device"], one["commit"]) == ("cpu; H100", "aaaaaaa; bbbbbbb-dirty")
    assert (two["device"], two["commit"]) == ("cpu", "aaaaaaa")
    assert {row["version"] for row in (one, two, odd)} == {"0.1.0"}


def test_of_released_scores_it_is_told_what_is_known(folder):
    row = runs_table(load_study(STUDY), folder).row(-1, named=True)
    known = {key: value for key, value in row.items() if value is not None}
    assert known == {
        **{"run": "told", "source": "scores", "model": "opt"},
        **{"checkpoints": 2, "steps": 16, "tokens": 1600},
    }


def test_of_published_checkpoints_it_is_told_what_is_known(folder, tmp_path):
    (tmp_path / "list.csv").write_text(
        "revision,step,tokens,commit,sha256\n"
        + "".join(f"s{step},{step},{step * 10},{step:040x},{step:064x}\n" for step in (1, 2, 3))
    )
    hub = {"source": "hub", "model": "owner/name", "revisions": str(tmp_path / "list.csv")}
    study = load_study({**STUDY, "runs": {"far": {**hub, "tokenizer": "t", "per_segment": 2}}})
    for number, steps in enumerate([(1, 2), (3,)]):
        checkpoints = [{"step": step, "tokens": step * 10} for step in steps]
        fetched = manifest(commit="ccccccc") | {"checkpoints": checkpoints}
        del fetched["device"]
        write(tmp_path / f"runs/far/segments/{number:04d}.manifest.json", fetched)
    row = runs_table(study, folder).filter(pl.col("run") == "far").row(0, named=True)
    assert {key: value for key, value in row.items() if value is not None} == {
        **{"run": "far", "source": "hub", "model": "owner/name", "tokenizer": "t"},
        **{"parameters": 90, "block_size": 1024, "checkpoints": 3, "steps": 3, "tokens": 30},
        **{"version": "0.1.0", "commit": "ccccccc"},
    }


def test_a_loss_curve_that_was_cut_short_is_named(folder, tmp_path):
    path = tmp_path / "tables/odd/losses.csv"
    path.write_text(path.read_text()[:-3])
    with pytest.raises(ValueError, match=r"odd/losses.csv: its last line has no end"):
        runs_table(load_study(STUDY), folder)
