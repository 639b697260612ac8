"""The list of a published model's checkpoints: how it is made from a repository, and read."""

import hashlib
import json
import math
from dataclasses import asdict

import pytest
from hub_server import serving
from huggingface_hub import HfApi

from ontogeny.files import write_rows
from ontogeny.published import hub as asking
from ontogeny.published.listing import (
    combined_sha256,
    list_revisions,
    step_and_tokens,
    twins,
    weight_files,
)
from ontogeny.published.revisions import Revision, read_revisions, revisions_from, sampled

REPO = "someone/model"


def row(step, **changed):
    digest = hashlib.sha256(b"%d" % step).hexdigest()
    return Revision(
        **{**vars(Revision(f"step{step}", step, 2 * step, "c" * 40, digest)), **changed}
    )


def write(path, rows):
    write_rows(path, [asdict(row) for row in rows])
    return path


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr(asking, "PAUSES", (0.0, 0.0))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with serving() as hub:
        yield hub


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.url, token=False)


def weights(step):
    return {"model.safetensors": b"weights of %d" % step, "config.json": b"{}"}


# ---------------------------------------------------------------------------- names, files


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("step-12", (12, None)),
        ("step12", (12, None)),
        ("step-00000012", (12, None)),
        ("global_step12", (12, None)),
        ("stage1-step12", (12, None)),
        ("stage1-step1000-tokens5B", (1000, 5_000_000_000)),
        ("stage2-ingredient1-step0-tokens12M", (0, 12_000_000)),
        ("step5-tokens700", (5, 700)),
        ("main", None),
        ("step", None),
        ("misstep12", None),
        ("step12-old", None),
    ],
)
def test_a_name_tells_its_step_and_perhaps_its_tokens(name, told):
    assert step_and_tokens(name) == told


def test_weights_are_one_file_or_all_shards_in_order():
    shards = [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    assert weight_files(["config.json", "model.safetensors", "adapter.safetensors"]) == [
        "model.safetensors"
    ]
    assert weight_files([shards[2], "config.json", shards[0], shards[1]]) == shards
    with pytest.raises(ValueError, match="2 shards of 3"):
        weight_files(shards[:2])
    with pytest.raises(ValueError, match="no safetensors"):
        weight_files(["pytorch_model.bin"])


def test_shards_have_one_hash_together():
    assert combined_sha256(["a" * 64]) == "a" * 64
    together = hashlib.sha256(("a" * 64 + "b" * 64).encode()).hexdigest()
    assert combined_sha256(["a" * 64, "b" * 64]) == together
    assert combined_sha256(["b" * 64, "a" * 64]) != together


# ---------------------------------------------------------------------------- the list


def test_a_list_that_is_written_is_read_in_the_order_of_the_steps(tmp_path):
    rows = [row(1), row(2), row(10), row(512)]
    assert read_revisions(write(tmp_path / "list.csv", reversed(rows))) == rows


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([row(1), row(1, sha256="f" * 64)], "step 1 stands twice"),
        ([row(1), row(2, sha256=row(1).sha256)], "'step1' and 'step2' hold the same weights"),
        ([row(1, tokens="many")], "line 2: tokens is 'many', should be a number"),
        ([row(1, tokens=1.5)], "line 2: tokens is '1.5', should be a whole number"),
        ([row(10**16)], "line 2: step is '10{16}', should be at most 1,000,000,000,000,0"),
        ([row(1), row(2, tokens=10**16)], "line 3: tokens is '10{16}', should be at most 1,000,0"),
        ([row(3), row(2, tokens=6)], "'step3' has 6 tokens at step 3, but 'step2' has 6 at step 2"),
        ([row(1, commit="c" * 200_000)], "line 2: field larger than field limit"),
        ([row(1), row(2, commit="")], "line 3: commit is empty"),
        ([row(1, commit="main; rm")], "line 2: commit is 'main; rm', should be 40 digits 0-9, a-f"),
        ([row(1), row(2, sha256="zz" * 32)], "line 3: sha256 is 'zzz*', should be 64 digits"),
        ([row(1, sha256="c" * 40)], "line 2: sha256 is 'c*', should be 64 digits"),
        ([row(1), row(2, revision="Step1")], "'step1' .step 1. and 'Step1' .step 2. are one name"),
        ([row(1), row(2, revision="step1")], "'step1' .step 1. and 'step1' .step 2. are one name"),
    ],
)
def test_a_bad_list_is_refused(tmp_path, rows, complaint):
    path = write(tmp_path / "list.csv", rows)
    with pytest.raises(ValueError, match=complaint) as refused:
        read_revisions(path)
    assert str(path) in str(refused.value)


def test_a_list_is_read_as_any_other_csv(tmp_path):
    path = write(tmp_path / "list.csv", [row(1)])
    text = path.read_text()
    path.write_text(text, encoding="utf-8-sig")
    assert read_revisions(path) == [row(1)]
    for content, complaint in (
        (text.replace("commit", "step"), "no column 'commit'"),
        (text.replace("\n", ",x\n").replace("sha256,x", "sha256,step"), "two columns 'step'"),
        (text.replace("step1", '"step1'), "line 2: "),
        ("", "no column 'revision'"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=complaint) as refused:
            read_revisions(path)
        assert str(path) in str(refused.value)
    with pytest.raises(ValueError, match=r"\.csv: there is no such file; make it with: python"):
        read_revisions(tmp_path / "absent.csv")
    with pytest.raises(ValueError, match="Is a directory"):
        read_revisions(tmp_path)


def test_lines_of_a_list_come_to_the_script_as_json():
    good = vars(row(1))
    assert revisions_from(json.dumps([good])) == [row(1)]
    for bad in ([], {}, [1], None, [{**good, "size": 1}], [{"step": 1}]):
        with pytest.raises(ValueError, match=r"should be a JSON list of objects with revision, st"):
            revisions_from(json.dumps(bad))
    with pytest.raises(ValueError, match="revisions are 'x', should be"):
        revisions_from("x")


@pytest.mark.parametrize("count", [2, 3, 5, 17, 39, 40, 100, None])
def test_a_sample_is_spread_over_the_logarithm_of_the_step(count):
    rows = [row(step) for step in [0, *(2**i for i in range(10)), *range(1000, 30_000, 1000)]]
    chosen = sampled(rows, count)
    steps = [row.step for row in chosen]
    assert len(steps) == min(count or len(rows), len(rows))
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (0, 29_000)
    if count == 5:  # none is further from its place than half the widest gap between checkpoints
        aims = [math.log(29_001) * i / 4 for i in range(5)]
        assert max(abs(math.log(s + 1) - a) for s, a in zip(steps, aims, strict=True)) < 0.35


# ---------------------------------------------------------------------------- from a repository


def test_branches_and_tags_are_listed_by_number_and_nothing_is_downloaded(hub, api):
    commits = {step: hub.add(REPO, weights(step), f"step{step}") for step in (1000, 2, 0, 16)}
    hub.add(REPO, weights(5), "experiment")
    at = hub.repos[REPO]
    at.tags["step-3"] = hub.add(REPO, weights(3))
    found = list_revisions(api, REPO, tokens_per_step=100)
    rows = list(found)
    assert [row.revision for row in rows] == ["step0", "step2", "step-3", "step16", "step1000"]
    assert [row.tokens for row in rows] == [0, 200, 300, 1600, 100_000]
    for row in rows:
        expected = hashlib.sha256(b"weights of %d" % row.step).hexdigest()
        assert row.sha256 == expected
        assert row.commit == commits.get(row.step, at.tags["step-3"])
    assert hub.asked["file"] == 0
    assert twins(found) == []


def test_a_sharded_model_is_listed_with_the_hash_of_its_shards(hub, api):
    shards = {f"model-0000{i}-of-00002.safetensors": b"shard %d" % i for i in (1, 2)}
    hub.add(REPO, shards, "step1")
    digests = [hashlib.sha256(content).hexdigest() for content in shards.values()]
    assert next(iter(list_revisions(api, REPO, 1))).sha256 == combined_sha256(digests)


def test_a_revision_without_safetensors_is_left_out_and_named(hub, api, capsys):
    hub.add(REPO, weights(1), "step1")
    hub.add(REPO, {"pytorch_model.bin": b"pickle"}, "step2")
    assert [row.step for row in list_revisions(api, REPO, 1)] == [1]
    assert "revision 'step2' is left out: it has no safetensors weights" in capsys.readouterr().err
    with pytest.raises(ValueError, match="none of the 1 revisions has safetensors weights"):
        list_revisions(api, REPO, 1, "step2")


def test_stages_that_share_a_step_are_told_apart_by_a_pattern(hub, api):
    for stage, step in ((1, 7), (1, 8), (2, 7)):
        hub.add(REPO, weights(10 * stage + step), f"stage{stage}-step{step}-tokens{step}M")
    with pytest.raises(ValueError, match="'stage1-step7-tokens7M' and 'stage2-step7-tokens7M'"):
        list_revisions(api, REPO)
    rows = list_revisions(api, REPO, include="stage1-*")
    assert [(row.step, row.tokens) for row in rows] == [(7, 7_000_000), (8, 8_000_000)]
    assert [row.tokens for row in list_revisions(api, REPO, 999_999, "stage2-*")] == [6_999_993]


def test_tokens_must_come_from_somewhere(hub, api):
    hub.add(REPO, weights(1), "step1")
    with pytest.raises(ValueError, match="'step1' does not tell its tokens; give --tokens-per-s"):
        list_revisions(api, REPO)


def test_twins_are_all_named(hub, api):
    for step, same in ((1, 1), (2, 1), (3, 3), (4, 3), (5, 3), (6, 6)):
        hub.add(REPO, weights(same), f"step{step}")
    assert twins(list_revisions(api, REPO, 1)) == [["step1", "step2"], ["step3", "step4", "step5"]]


def test_a_shard_that_two_revisions_share_makes_them_twins(hub, api):
    """As in github.com/EleutherAI/pythia/issues/206: the first shard is the final model's."""
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for step, first, second in ((1, b"a", b"b"), (2, b"c", b"d"), (3, b"a", b"e")):
        hub.add(REPO, dict(zip(names, (first, second), strict=True)), f"step{step}")
    found = list_revisions(api, REPO, 1)
    assert len({row.sha256 for row in found}) == 3
    assert twins(found) == [["step1", "step3"]]


def test_a_repository_without_steps_and_one_that_is_not_there(hub, api):
    hub.add(REPO, weights(1), "old")
    with pytest.raises(ValueError, match="no tag or branch tells a step"):
        list_revisions(api, REPO, 1)
    with pytest.raises(ValueError, match=r"someone/none: .*does not give access.*HF_TOKEN"):
        list_revisions(api, "someone/none", 1)


# ---------------------------------------------------------------------------- asking


def test_what_may_pass_is_tried_again(hub, api):
    hub.add(REPO, weights(1), "step1")
    hub.fail("refs", times=2, status=500)
    assert len(list_revisions(api, REPO, 1)) == 1
    assert hub.asked["refs"] == 3


def test_a_server_that_stays_away_is_one_line(hub, api):
    hub.add(REPO, weights(1), "step1")
    hub.fail("refs", times=99)
    with pytest.raises(ValueError, match=rf"no answer from {hub.url} \(HF_ENDPOINT\) in 3 tries"):
        list_revisions(api, REPO, 1)
    assert hub.asked["refs"] == 3
    nowhere = HfApi(endpoint="http://127.0.0.1:9", token=False)
    with pytest.raises(ValueError, match=r"no answer from http://127\.0\.0\.1:9") as refused:
        list_revisions(nowhere, REPO, 1)
    assert "\n" not in str(refused.value)


def test_a_refusal_is_not_tried_again_and_does_not_tell_the_token(hub, monkeypatch):
    hub.add(REPO, weights(1), "step1")
    hub.token = "hf_right"
    monkeypatch.setenv("HF_TOKEN", "hf_wrong\n")
    with pytest.raises(ValueError, match=r"does not give access \(401.*HF_TOKEN") as refused:
        list_revisions(HfApi(endpoint=hub.url, token="hf_wrong"), REPO, 1)
    assert hub.asked["refs"] == 1
    assert "hf_wrong" not in str(refused.value)
    with pytest.raises(ValueError) as refused:  # a header that the client itself refuses to send
        list_revisions(HfApi(endpoint=hub.url, token="hf_wrong\n"), REPO, 1)
    assert "hf_wrong" not in str(refused.value)


@pytest.mark.parametrize(
    "token", ["hf_one\nhf_two", "hf_one hf_two", "hf_öne", "'hf_one'", "hf\\x"]
)
def test_a_token_that_is_none_is_refused_and_not_told(monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(
        ValueError, match="HF_TOKEN holds a space, a line break or a char"
    ) as refused:
        asking.connect()
    assert "hf" not in str(refused.value)


def test_only_the_token_of_the_environment_is_used(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", " hf_one\n")
    assert asking.connect(writes=True).token == "hf_one"
    monkeypatch.setenv("HF_TOKEN", "")
    assert asking.connect().token is False  # which forbids one that a login left


@pytest.mark.parametrize("token", ["hf_one\nhf_two", "hf_öne"])
def test_a_token_that_a_client_quotes_is_struck_out(hub, monkeypatch, token):
    """As httpx does: Illegal header value b'Bearer hf_one\\nhf_two'."""
    monkeypatch.setenv("HF_TOKEN", token)

    def call():
        raise ValueError(f"Illegal header value {f'Bearer {token}'.encode()}, {token!r}")

    with pytest.raises(ValueError, match=r"b'Bearer \*\*\*', '\*\*\*'"):
        asking.ask(HfApi(endpoint=hub.url, token=False), "it", call)
