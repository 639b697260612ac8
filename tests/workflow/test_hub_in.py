"""Checkpoints that come from the Hub are scored as those that were trained here."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from calling import random_model
from hub_server import environment_of, serving
from huggingface_hub import HfApi
from safetensors.torch import load_file, save_file

from ontogeny.files import read_json
from ontogeny.origins import sha256
from ontogeny.published import hub as asking
from ontogeny.published.fetch import download, load
from ontogeny.published.listing import list_revisions
from ontogeny.published.revisions import read_revisions

pytestmark = pytest.mark.workflow

REPO = "someone/fast"
STEPS = [0, 4, 50, 100, 150, 200]
PER_STEP = 256
PROBES = ("binomials", "grammar", "held-out")


@pytest.fixture(scope="module")
def hub(finished):
    """The checkpoints of a trained run as others publish theirs: branches, some of a stage."""
    with serving() as hub:
        for step in STEPS:
            name = f"step{step}" if step < 100 else f"stage1-step{step}"
            hub.add(REPO, files_of(finished, step), name)
        folder = finished.results / "tokenizers" / "bpe"
        files = filter(Path.is_file, folder.iterdir())
        hub.add(REPO, {path.name: path.read_bytes() for path in files})
        yield hub


@pytest.fixture
def api(hub, monkeypatch):
    monkeypatch.setattr(asking, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return HfApi(endpoint=hub.url, token=False)


@pytest.fixture
def online(hub, project, tmp_path, monkeypatch):
    """The project, with Snakemake using the test's Hub."""
    names = type(project).call.__globals__  # of the conftest that all tests share
    online = {**names["environment"](), **environment_of(hub, logged_in(tmp_path / "home"))}
    monkeypatch.setitem(names, "environment", lambda: online)
    return project


@pytest.fixture
def script(hub, tmp_path):
    """Call a script with the test's Hub; what it printed must be what is expected of it."""

    def script(name, *args, code=0):
        done = subprocess.run(
            [sys.executable, Path(__file__).parents[2] / "scripts" / name, *map(str, args)],
            env={**os.environ, **environment_of(hub, logged_in(tmp_path / "home"))},
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    return script


def logged_in(home):
    """The client's folder as a login leaves it: its token must never be sent."""
    home.mkdir(exist_ok=True)
    (home / "token").write_text("hf_ofALogin")
    return home


def files_of(finished, step):
    folder = finished.results / "runs" / "fast" / "checkpoints" / f"step-{step:08d}"
    return {path.name: path.read_bytes() for path in filter(Path.is_file, folder.iterdir())}


def study_of(tiny, **changed):
    """The tiny study with a published model in the place of its runs."""
    tiny["probes"]["held-out"]["corpus"] = "toy"
    tiny["tokenizers"]["theirs"] = {"type": "pretrained", "path": REPO}
    run = {"source": "hub", "model": REPO, "revisions": "own/list.csv", "tokenizer": "theirs"}
    tiny["runs"] = {"again": {**run, "block_size": 32, "per_segment": 3, **changed}}
    return tiny


def test_a_published_run_is_scored_as_the_trained_one(online, finished, hub, tiny, script):
    listed = online.folder / "own" / "list.csv"
    printed = script(
        "list_revisions.py", "--model", REPO, "--output", listed, "--tokens-per-step", PER_STEP
    )
    assert f"{listed}: 6 checkpoints, step 0 to 200" in printed
    online.write(study_of(tiny))
    jobs = {"fetch_0": 1, "fetch_1": 1, "score_0": 1, "score_1": 1}
    counts = online.dry_run("scores").counts
    assert counts == {**jobs, "tokenizer": 1, "tokens": 1, "index": 2, "scores": 1}

    online.make("scores")
    for probe in PROBES:
        for step in STEPS:
            name = f"step-{step:08d}.csv"
            made = (online.results / "scores" / probe / "again" / name).read_text()
            trained = (finished.results / "scores" / probe / "fast" / name).read_text()
            if probe == "held-out":  # what text a published run has read is not known
                assert trained.splitlines()[0].endswith(",kl_unigram,kl_bigram")
                lines = [line.rsplit(",", 2)[0] for line in trained.splitlines()]
                trained = "\n".join([*lines, ""])
            assert made.replace("\nagain,", "\nfast,") == trained, (probe, step)
    manifests = [
        read_json(online.results / "runs" / "again" / "segments" / f"000{k}.manifest.json")
        for k in (0, 1)
    ]
    rows = [row for manifest in manifests for row in manifest["checkpoints"]]
    assert [row["step"] for row in rows] == STEPS
    for row, revision in zip(rows, read_revisions(listed), strict=True):
        folder = finished.results / "runs" / "fast" / "checkpoints" / row["checkpoint"]
        assert row["sha256"] == row["published_sha256"] == sha256(folder / "model.safetensors")
        assert (row["revision"], row["commit"]) == (revision.revision, revision.commit)
        assert row["tokens"] == PER_STEP * row["step"]

    assert hub.authorizations == {None}

    # The weights are gone, and nothing misses them.
    run = online.results / "runs" / "again"
    hidden = [path for path in run.rglob(".*") if path.name != ".origins"]
    assert [*run.rglob("*.safetensors"), *hidden] == []
    assert not list((online.folder.parent / "home").rglob("*.safetensors"))
    assert online.dry_run("scores").counts == {}

    # One score file that is missing: its segment is fetched again, and no other.
    removed = online.results / "scores" / "grammar" / "again" / "step-00000150.csv"
    text = removed.read_text()
    removed.unlink()
    assert online.dry_run("scores").counts == {"fetch_1": 1, "score_1": 1, "scores": 1}
    removed.write_text(text)

    # A line of the list that changes is fetched again with its segment alone.
    text = listed.read_text()
    listed.write_text(text.replace("stage1-step150,150,38400,", "stage1-step150,150,38401,"))
    assert online.dry_run("scores").counts == {"fetch_1": 1, "score_1": 1, "scores": 1}
    listed.write_text(text)
    assert online.dry_run("scores").counts == {}


def test_a_model_that_is_scored_from_the_hub_is_asked_for_without_a_login(
    hub, finished, script, tmp_path
):
    questions = tmp_path / "questions.csv"
    questions.write_text("prompt,answer\nThe dog and the, cat\n")
    tokenizer = finished.results / "tokenizers" / "bpe"
    args = ("--model", REPO, "--revision", "step50", "--tokenizer", tokenizer)
    script("score.py", *args, "--probe", questions, "--output", tmp_path / "scores.csv")
    assert hub.authorizations == {None}


def test_a_sample_is_all_that_is_fetched(elsewhere, tiny, api):
    rows = list(list_revisions(api, REPO, PER_STEP))
    listed = elsewhere.folder / "list.csv"
    with open(listed, "w", newline="") as file:
        writer = csv.DictWriter(file, list(vars(rows[0])))
        writer.writeheader()
        writer.writerows(vars(row) for row in rows)
    elsewhere.write(study_of(tiny, revisions=str(listed), sample=3, per_segment=1))
    dry = elsewhere.dry_run("scores")
    steps = [message for message in dry.jobs if message.startswith("Fetch")]
    # log(step + 1): 0 and 200 are the ends, 4 (1.6 of 5.3) is nearer the middle than 50 (3.9)
    assert sorted(steps) == ["Fetch again to step 200", "Fetch again to step 4"]


def test_twin_weights_are_refused_by_the_list_and_by_the_study(
    elsewhere, tiny, hub, finished, script
):
    for step in (0, 4, 50):
        hub.add("someone/twins", files_of(finished, max(step, 4)), f"step{step}")
    listed = elsewhere.folder / "list.csv"
    args = ("--model", "someone/twins", "--output", listed, "--tokens-per-step", 1)
    printed = script("list_revisions.py", *args, code=1)
    assert "hold the same weights, or share a shard: step0 = step4; at most one" in printed
    elsewhere.write(study_of(tiny, revisions=str(listed)))
    done = elsewhere.call("--dry-run")
    assert done.returncode != 0
    assert "runs.again: " in done.stdout
    assert "'step0' and 'step4' hold the same weights" in done.stdout
    listed.write_text("".join(listed.read_text().splitlines(keepends=True)[:1]))
    assert "lists no checkpoint" in elsewhere.call("--dry-run").stdout


def test_twins_in_different_files_are_refused_when_they_are_fetched(
    hub, finished, script, tmp_path
):
    """The same numbers in another precision have another sha256 until they are made alike."""
    files = files_of(finished, 4)
    (tmp_path / "here").write_bytes(files["model.safetensors"])
    tensors = {name: it.half() for name, it in load_file(tmp_path / "here").items()}
    for name, precision in (("step1", torch.float16), ("step2", torch.float32)):
        save_file({key: it.to(precision) for key, it in tensors.items()}, tmp_path / name)
        changed = {**files, "model.safetensors": (tmp_path / name).read_bytes()}
        hub.add("someone/alike", changed, name)
    listed = tmp_path / "list.csv"
    args = ("--model", "someone/alike", "--output", listed, "--tokens-per-step", 1)
    script("list_revisions.py", *args)
    rows = json.dumps([vars(row) for row in read_revisions(listed)])
    args = ("--name", "again", "--model", "someone/alike", "--segment", 0, "--revisions", rows)
    printed = script("fetch.py", *args, "--study-folder", tmp_path / "results", code=1)
    assert "revisions 'step1' and 'step2' hold the same weights in different files" in printed
    left = [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert [path for path in left if "checkpoints" not in path.parts] == []


@pytest.fixture
def one(hub, api, finished, tmp_path):
    """A revision of its own to spoil; returns its line in the list, and downloads it."""

    def one(name, files=None):
        repo = f"someone/{name}"
        commit = hub.add(repo, files or files_of(finished, 50), "step50")
        (row,) = list_revisions(api, repo, 1)
        assert row.commit == commit
        return repo, row, lambda: download(api, repo, row, tmp_path / "folder")

    return one


def test_a_damaged_download_is_refused(hub, one):
    _, _, fetch = one("damaged")
    hub._damaged.add("model.safetensors")
    try:
        with pytest.raises(ValueError, match=r"'step50': what has arrived has the sha256 .*way"):
            fetch()
    finally:
        hub._damaged.clear()


def test_other_weights_than_the_list_says_are_refused_before_the_download(hub, api, one, tmp_path):
    repo, row, _ = one("exchanged")
    files = {"model.safetensors": b"another model", "config.json": b"{}"}
    moved = type(row)(**{**vars(row), "commit": hub.add(repo, files, "step50")})
    fetched = hub.asked["file"]
    with pytest.raises(ValueError, match=r"'step50': the Hub has other weights .* than the list"):
        download(api, repo, moved, tmp_path / "folder")
    assert hub.asked["file"] == fetched


def test_a_revision_that_is_gone_is_named(hub, one):
    repo, row, fetch = one("gone")
    del hub.repos[repo].commits[row.commit]
    with pytest.raises(ValueError, match=rf"^{repo}, revision 'step50': this revision is not, or"):
        fetch()


def test_a_connection_that_fails_is_tried_again(hub, one, tmp_path):
    _, row, fetch = one("flaky")
    hub.fail("file", times=2)
    fetch()
    assert sha256(tmp_path / "folder" / "model.safetensors") == row.sha256


def test_offline_is_said(one, monkeypatch):
    _, _, fetch = one("offline")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.is_offline_mode", lambda: True)
    with pytest.raises(ValueError, match="HF_HUB_OFFLINE is set"):
        fetch()


def saved(model, folder, **settings):
    model.save_pretrained(folder, **settings)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neox"])
def test_shards_and_16_bits_load_as_the_same_numbers(one, tmp_path, family):
    model = random_model(family).half()
    files = saved(model, tmp_path / "published", max_shard_size="20KB")
    assert "model.safetensors.index.json" in files
    _, _, fetch = one(f"sharded-{family}", files)
    fetch()
    loaded = load(tmp_path / "folder", "it").state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded[name], tensor.float()), name


def test_a_model_whose_weights_do_not_fit_is_refused(tmp_path):
    folder = tmp_path / "published"
    saved(random_model("gpt_neox"), folder)
    config = json.loads((folder / "config.json").read_text())
    for key, value, complaint in (
        ("num_hidden_layers", 3, "its weights lack tensor 'gpt_neox.layers.2"),
        ("num_hidden_layers", 1, "tensor 'gpt_neox.layers.1.*' has no place"),
        ("intermediate_size", 65, r"has shape \(32, 64\), but config.json makes it \(32, 65\)"),
        ("model_type", "no-such-model", "can't be loaded as a causal language model"),
    ):
        (folder / "config.json").write_text(json.dumps({**config, key: value}))
        with pytest.raises(ValueError, match=f"^it: .*({complaint})") as refused:
            load(folder, "it")
        assert "\n" not in str(refused.value)


def test_code_of_a_repository_is_not_run(tmp_path):
    folder = tmp_path / "published"
    saved(random_model("llama"), folder)
    config = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    own_type = {**config, "model_type": "own", "auto_map": own}
    (folder / "config.json").write_text(json.dumps(own_type))
    ran = tmp_path / "ran"
    (folder / "own.py").write_text(f"open({str(ran)!r}, 'w')\n")
    with pytest.raises(ValueError, match=r"^it: needs code from its repository to run, and none"):
        load(folder, "it")
    assert not ran.exists()
