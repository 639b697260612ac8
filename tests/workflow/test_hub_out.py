"""A run that is published is on the Hub as it is here, and nothing else is touched."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hub_server import Blob, environment_of, serving
from huggingface_hub import HfApi

from ontogeny.files import read_json
from ontogeny.origins import sha256
from ontogeny.published import hub as asking
from ontogeny.published.card import shown_section
from ontogeny.published.publish import Step, check_local, publish

pytestmark = pytest.mark.workflow

TOKEN = "hf_aTokenThatNobodyMaySee"
REPO = "someone/tiny-fast"
STEPS = [0, 4, 50, 100, 150, 200]

# What a reader of the model card does; prints what differs from the folders that were published.
LOAD = """
import sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
repo, checkpoints, tokenizer, *steps = sys.argv[1:]
for step in map(int, steps):
    there = AutoModelForCausalLM.from_pretrained(repo, revision=f"step-{step}").state_dict()
    here = AutoModelForCausalLM.from_pretrained(f"{checkpoints}/step-{step:08d}").state_dict()
    assert there.keys() == here.keys()
    assert all(torch.equal(there[name], here[name]) for name in here), step
    text = "The Dog and the cat."
    ids = AutoTokenizer.from_pretrained(repo, revision=f"step-{step}")(text).input_ids
    assert ids == AutoTokenizer.from_pretrained(tokenizer)(text).input_ids
last = AutoModelForCausalLM.from_pretrained(repo).state_dict()
assert all(torch.equal(last[name], here[name]) for name in here)
print("the same")
"""


@pytest.fixture
def hub():
    with serving() as hub:
        hub.token = TOKEN
        yield hub


@pytest.fixture
def impatient(monkeypatch):
    """This process tries again at once, and sends large files the plain way."""
    monkeypatch.setattr(asking, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)


@pytest.fixture
def online(hub, project, tmp_path, monkeypatch):
    """The project, with Snakemake using the test's Hub."""
    names = type(project).call.__globals__  # of the conftest that all tests share
    online = {**names["environment"](), **environment_of(hub, tmp_path / "home", TOKEN)}
    monkeypatch.setitem(names, "environment", lambda: online)
    return project


@pytest.fixture
def api(hub, impatient):
    return HfApi(endpoint=hub.url, token=TOKEN)


@pytest.fixture
def run(finished):
    """The checkpoints of a run, and what stands on `main` beside the last."""
    manifests = sorted((finished.results / "runs" / "fast" / "segments").glob("*.manifest.json"))
    tokenizer = list((finished.results / "tokenizers" / "bpe").glob("*.json"))
    steps = []
    for row in (row for file in manifests for row in read_json(file)["checkpoints"]):
        folder = finished.results / "runs" / "fast" / "checkpoints" / row["checkpoint"]
        files = {path.name: path for path in (*folder.iterdir(), *tokenizer)}
        steps.append(Step(row["step"], row["tokens"], row["sha256"], files))
    return steps, {"losses.csv": finished.results / "tables" / "fast" / "losses.csv"}


def weights_uploaded(hub, steps):
    """How often the weights of each step were sent."""
    return {step.step: hub.uploaded.count(step.sha256) for step in steps}


def test_every_checkpoint_of_a_published_study_loads_from_its_tag(online, hub, tiny, tmp_path):
    del tiny["runs"]["slow"]
    tiny["publish"] = {"repo": "someone/{study}-{run}", "license": "cc-by-4.0", "private": True}
    online.write(tiny)
    assert "publish" not in "".join(online.dry_run().counts)
    assert online.dry_run("publish").counts == {"publish_run": 1, "publish": 1}
    hub.fail("commit", after=2)
    hub.drop("lfs-put")
    printed = online.make("publish")
    assert f"fast: 6 checkpoints are at {hub.url}/{REPO}, verified" in printed
    assert online.dry_run("publish").counts == {}

    repo = hub.repos[REPO]
    assert repo.private
    assert list(repo.tags) == [f"step-{step}" for step in STEPS]
    record = read_json(online.results / "published" / "fast.json")
    assert (record["run"], record["repo"], record["main"]) == ("fast", REPO, repo.branches["main"])
    checkpoints = online.results / "runs" / "fast" / "checkpoints"
    for row, step in zip(record["steps"], STEPS, strict=True):
        assert (row["step"], row["tag"]) == (step, f"step-{step}")
        assert row["commit"] == repo.tags[row["tag"]]
        digest = sha256(checkpoints / f"step-{step:08d}" / "model.safetensors")
        assert row["sha256"] == repo.commits[row["commit"]]["model.safetensors"].sha256 == digest
        assert hub.uploaded.count(digest) == 1

    main = repo.commits[repo.branches["main"]]
    tables = ["losses.csv", "correlations.csv", "minimal_pairs.csv", "perplexity.csv"]
    for name in tables:
        local = online.results / "tables" / "fast" / name
        assert main[name].content == local.read_bytes()
    segments = json.loads(main["manifest.json"].content)["segments"]
    assert [row["step"] for segment in segments for row in segment["checkpoints"]] == STEPS
    card = main["README.md"].content.decode()
    assert card.startswith("---\nlicense: cc-by-4.0\nlibrary_name: transformers\n")
    for part in (
        "![Training loss over tokens](loss.png)",
        "lr: 0.01",
        "beta2: 0.999",
        "words: 25000",
    ):
        assert part in card
    row = next(line for line in card.splitlines() if line.startswith("| 200 | 51,200 |"))
    assert all(cell.strip() for cell in row.strip("|").split("|"))

    environment = {**os.environ, **environment_of(hub, tmp_path / "reader", TOKEN)}
    tokenizer = online.results / "tokenizers" / "bpe"
    places = [REPO, str(checkpoints), str(tokenizer), *map(str, STEPS)]
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *places], env=environment, capture_output=True, text=True
    )
    assert done.stdout == "the same\n", done.stderr

    assert hub.authorizations <= {f"Bearer {TOKEN}", None}
    assert TOKEN not in printed
    kept = [path for path in online.folder.rglob("*") if path.is_file()]
    assert [path for path in kept if TOKEN.encode() in path.read_bytes()] == []
    held = [blob for tree in repo.commits.values() for blob in tree.values()]
    assert [blob for blob in held if TOKEN.encode() in blob.content] == []


def test_a_killed_upload_goes_on_with_what_is_missing(online, hub, tiny, run):
    steps, _ = run
    tiny["publish"] = {"repo": "someone/{study}-{run}"}
    online.write(tiny)
    record = "results/tiny/published/fast.json"
    process = online.start("--cores", "1", record)
    deadline = time.monotonic() + 600
    while hub.asked["tag"] < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    there = set(hub.repos[REPO].tags)
    assert 2 <= len(there) < len(steps), (online.folder / "started.log").read_text()
    assert not (online.folder / record).exists()

    assert online.call("--unlock").returncode == 0
    printed = online.make("--rerun-incomplete", record)
    for step in steps:
        told = "is there, verified" if step.tag in there else "uploaded"
        assert f"{REPO}, {step.tag}: {told}" in printed
    assert weights_uploaded(hub, steps) == dict.fromkeys(STEPS, 1)
    assert [row["tag"] for row in read_json(online.folder / record)["steps"]] == [
        step.tag for step in steps
    ]


@pytest.mark.parametrize("kind", ["commit", "tag"])
def test_a_server_that_fails_for_good_is_one_line_and_the_next_call_goes_on(hub, api, run, kind):
    steps, on_main = run
    hub.fail(kind, times=3, after=2, status=500)
    with pytest.raises(ValueError, match=r"step-50: no answer from .* in 3 tries \(500") as refused:
        publish(api, REPO, False, steps, on_main)
    assert "\n" not in str(refused.value)
    assert list(hub.repos[REPO].tags) == ["step-0", "step-4"]
    record = publish(api, REPO, False, steps, on_main)
    assert [row["step"] for row in record["steps"]] == STEPS
    assert weights_uploaded(hub, steps) == dict.fromkeys(STEPS, 1)


def test_publishing_again_changes_nothing(hub, api, run):
    first = publish(api, REPO, False, *run)
    sent = len(hub.uploaded)
    assert publish(api, REPO, False, *run) == first
    assert len(hub.uploaded) == sent
    # A tag that was deleted comes back, and `main` still ends with the last checkpoint.
    del hub.repos[REPO].tags["step-50"]
    publish(api, REPO, False, *run)
    repo, (steps, _) = hub.repos[REPO], run
    main = repo.commits[repo.branches["main"]]
    assert main["model.safetensors"].sha256 == steps[-1].sha256
    tagged = repo.commits[repo.tags["step-50"]]
    assert tagged["model.safetensors"].sha256 == steps[2].sha256


def test_other_weights_are_never_overwritten(hub, api, run):
    steps, on_main = run
    publish(api, REPO, False, steps[:2], on_main)
    repo = hub.repos[REPO]
    tagged = repo.commits[repo.tags["step-4"]]
    ours = tagged["model.safetensors"]
    tagged["model.safetensors"] = Blob(b"of somebody else", True)
    before = (dict(repo.tags), repo.branches["main"])
    with pytest.raises(ValueError, match=r"step-4: .*model.safetensors is another"):
        publish(api, REPO, False, steps, on_main)
    tagged["model.safetensors"] = ours
    tagged["tokenizer.json"] = Blob(b"{}", False)
    with pytest.raises(ValueError, match=r"step-4: .*tokenizer.json is another"):
        publish(api, REPO, False, steps, on_main)
    assert (repo.tags, repo.branches["main"]) == before


def test_a_repository_of_another_model_is_left_alone(hub, api, run):
    commit = hub.add(REPO, {"model.safetensors": b"of somebody else"})
    with pytest.raises(ValueError, match="main holds the weights of another model"):
        publish(api, REPO, False, *run)
    assert hub.repos[REPO].branches == {"main": commit}
    assert hub.repos[REPO].tags == {}
    assert hub.uploaded == []


@pytest.mark.parametrize(
    "name",
    [
        *("model-00001-of-00002.safetensors", "pytorch_model.bin", "model.safetensors.index.json"),
        *("quantised/q4.gguf", "tf_model.h5", "flax_model.msgpack", "README.md", "config.json"),
        "tokenizer.json",
    ],
)
def test_a_repository_with_another_form_of_model_is_left_alone(hub, api, run, name):
    steps, on_main = run
    on_main = {**on_main, "README.md": on_main["losses.csv"]}
    commit = hub.add(REPO, {".gitattributes": b"", name: b"of somebody else"})
    with pytest.raises(ValueError, match=f"main holds {name}, which is not of this run; publish"):
        publish(api, REPO, False, steps, on_main)
    assert hub.repos[REPO].branches == {"main": commit}
    assert (hub.repos[REPO].tags, hub.uploaded) == ({}, [])


def test_the_card_shows_no_folder_of_this_machine():
    shown = {
        "/home/me/data": "data",
        "../data": "data",
        "../../me/data": "data",
        "own/../../me/data": "data",
        "~/data": "data",
        "scripts": "scripts",
        "owner/name": "owner/name",
        "gpt2": "gpt2",
    }
    for given, name in shown.items():
        for key in ("path", "dataset"):
            assert shown_section({key: given, "split": "a"}) == {key: name, "split": "a"}
    files = {"files": ["../../me/*.txt"], "validation_files": ["/home/me/b.txt"]}
    assert shown_section(files) == {"files": ["*.txt"], "validation_files": ["b.txt"]}


def test_what_the_server_lost_is_named(hub, api, run):
    hub.fail("tag", after=1, status=200)  # says yes, and does nothing
    with pytest.raises(ValueError, match="not all is there after the upload: step-4 is missing;"):
        publish(api, REPO, False, *run)


def test_a_checkpoint_that_changed_since_training_is_not_uploaded(run, tmp_path):
    steps, _ = run
    check_local(steps)
    changed = Path(tmp_path, "model.safetensors")
    changed.write_bytes(b"other")
    steps[1].files["model.safetensors"] = changed
    with pytest.raises(ValueError, match="is not what training wrote") as refused:
        check_local(steps)
    assert str(changed) in str(refused.value)


def test_a_config_that_is_missing_is_told(run, tmp_path):
    steps, _ = run
    steps[1].files["config.json"] = tmp_path / "config.json"
    with pytest.raises(ValueError, match=r"/config\.json: it is missing; copy that of another"):
        check_local(steps)


def test_what_is_published_is_trained_first(elsewhere, tiny):
    tiny["publish"] = {"repo": "someone/{study}-{run}"}
    elsewhere.write(tiny)
    counts = elsewhere.dry_run("publish").counts
    assert (counts["train_0"], counts["train_1"], counts["publish_run"]) == (2, 2, 2)


def test_without_a_token_nothing_is_asked(hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(ValueError, match="publishing needs a token: set HF_TOKEN"):
        asking.connect(writes=True)
    assert not hub.asked


def test_a_study_that_says_nothing_of_publishing_has_no_such_target(elsewhere, tiny):
    elsewhere.write(tiny)
    done = elsewhere.call("--dry-run", "publish")
    assert done.returncode != 0
    assert "the study has no `publish` section" in done.stdout
    assert "publish" not in "".join(elsewhere.dry_run().counts)


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ({"repo": "someone/{study}"}, "publish.repo: 'someone/{study}' is one repository for 2"),
        ({"repo": "someone/{model}-{run}"}, "publish.repo: 'someone/{model}-{run}' should be like"),
        ({"repo": "{run}"}, "publish.repo: '{run}' should be like 'owner/{study}-{run}'"),
        ({"repo": "a/{run}", "licence": "mit"}, "publish.licence: unknown key; did you mean"),
    ],
)
def test_a_bad_section_is_told_before_anything_runs(elsewhere, tiny, section, complaint):
    elsewhere.write({**tiny, "publish": section})
    done = elsewhere.call("--dry-run")
    assert done.returncode != 0
    assert f"  - {complaint}" in done.stdout
