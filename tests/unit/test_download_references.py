"""Downloads in a study: what may be said of one, and the references to it."""

import hashlib

import pytest
from pydantic import ValidationError

from ontogeny.paths import download_path, project_path
from ontogeny.study import StudyError, load_study
from ontogeny.study.downloads import Download

SHA256 = hashlib.sha256(b"content").hexdigest()


def study(downloads, **probe):
    references = {"human": {"column": "GenPref"}}
    items = {"type": "binomials", "items": "own/items.csv", "references": references}
    run = {"corpus": "text", "tokenizer": "bpe", "architecture": "opt"}
    return {
        "study": "s",
        "downloads": downloads,
        "corpora": {"text": {"source": "files", "files": ["own/*.txt"]}},
        "tokenizers": {"bpe": {"type": "bpe", "corpus": "text"}},
        "architectures": {"opt": {"model_type": "opt"}},
        "probes": {"items": {**items, **probe}},
        "runs": {"one": {**run, "steps": 1, "block_size": 8, "batch_size": 1}},
    }


ITEMS = {"url": "https://example.org/data/items.csv"}
TEXTS = {"repo": "owner/texts", "file": "v1/texts.zip"}


def test_references_become_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = study(
        {"items": ITEMS, "texts": TEXTS, "mine": {**ITEMS, "path": "own/mine.csv"}},
        items="download:items",
        responses="download:mine",
        prompts="download:texts/p/prompts.csv",
    )
    given["corpora"]["text"]["files"] = ["download:texts/t/a.train", "own/*.txt"]
    given["probes"]["items"]["references"]["human"] = {"weights": "download:texts/w.csv"}
    loaded = load_study(given)
    probe = loaded.probes["items"]
    assert project_path(probe.items) == "downloads/items/items.csv"
    assert project_path(probe.items) == download_path("items", "items.csv")
    assert probe.responses == "own/mine.csv"
    folder = "downloads/texts/texts.zip.unpacked"
    assert project_path(probe.prompts) == f"{folder}/p/prompts.csv"
    assert project_path(probe.references["human"].weights) == f"{folder}/w.csv"
    files = loaded.corpora["text"].files
    assert project_path(files[0]) == f"{folder}/t/a.train"
    assert files[1] == "own/*.txt"


def test_a_folder_takes_the_place_of_an_archive():
    given = study({"texts": {**TEXTS, "path": "own/texts/"}}, items="download:texts/a/items.csv")
    assert load_study(given).probes["items"].items == "own/texts/a/items.csv"


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("download:itms", "download 'itms' is not defined; did you mean 'items'?"),
        ("download:", "download '' is not defined; there is: items, texts"),
        ("download:items/a.csv", "items/items.csv is no archive"),
        ("download:texts/", "'' is no path of an archive's member"),
        ("download:texts/../../x", "'../../x' is no path of an archive's member"),
        ("download:texts//etc/passwd", "'/etc/passwd' is no path of an archive's member"),
        ("download:texts/*.csv", "'*.csv' is a pattern; name each member"),
    ],
)
def test_a_reference_to_nothing_is_told(reference, told):
    with pytest.raises(StudyError) as error:
        load_study(study({"items": ITEMS, "texts": TEXTS}, items=reference))
    assert error.value.problems == [f"probes.items.items: {error.value.problems[0][20:]}"]
    assert told in str(error.value)


def test_a_reference_where_none_can_stand_is_told():
    given = study({"items": ITEMS})
    given["tokenizers"]["own"] = {"type": "pretrained", "path": "download:items"}
    with pytest.raises(StudyError, match=r"tokenizers\.own\.path: 'download:items' can't stand"):
        load_study(given)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, "give either `url`, or `repo` and `file`"),
        ({**ITEMS, **TEXTS}, "give either `url`, or `repo` and `file`"),
        ({"repo": "owner/texts"}, "`repo` and `file` go together"),
        ({**ITEMS, "revision": "v1"}, "`repo_type` and `revision` are for `repo`"),
        ({"url": "http://example.org/a.csv"}, "should begin with https://"),
        ({"url": "file:///etc/passwd"}, "is no address"),
        ({"url": "https://me:secret@example.org/a.csv"}, "would stand in every log"),
        ({"url": "https://example.org/a b.csv"}, "is no address"),
        ({"url": "https://example.org/"}, "no plain name of a file"),
        ({"url": "https://example.org/a%2Fb.csv"}, None),
        ({"url": "https://example.org/..%2F..%2Fb.csv"}, None),
        ({"url": "https://example.org/.hidden"}, "no plain name of a file"),
        ({**ITEMS, "save_as": "../items.csv"}, "is no name of a file here"),
        ({**ITEMS, "save_as": ".items"}, "is no name of a file here"),
        ({**ITEMS, "sha256": "abc"}, "is no sha256"),
        ({**TEXTS, "file": "../texts.zip"}, "is no path of a file in a repository"),
        ({**TEXTS, "repo": "owner/../x"}, "is no name of a repository"),
    ],
)
def test_a_download_that_can_not_be_is_told(keys, told):
    if told is None:  # a slash that is written %2F can't lead out of the folder
        assert "/" not in Download(**keys).saved_as
        return
    with pytest.raises(ValidationError, match=told):
        Download(**keys)


def test_a_sha256_may_be_in_capitals():
    assert Download(**ITEMS, sha256=SHA256.upper()).sha256 == SHA256
