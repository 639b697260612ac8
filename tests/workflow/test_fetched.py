"""A study whose text and stimuli come from elsewhere: fetched once, shared, checked."""

import csv
import hashlib
import io
import json
import shutil
import zipfile

import polars as pl
import pytest
from hub_server import environment_of, serving
from web_server import web_serving

from ontogeny.files import read_json
from ontogeny.origins import sha256

pytestmark = pytest.mark.workflow

CORPUS = "results/tiny/corpora/text/train.parquet"
PAIRS = "results/tiny/index/pairs/bpe.safetensors"
ITEMS = "results/tiny/index/items/bpe.safetensors"
TARGETS = (CORPUS, PAIRS, ITEMS)
MADE = {"corpus": 1, "tokenizer": 1, "index": 2}
LINES = [f"The dog and the cat saw {n} birds and bees.\n" for n in range(400)]


def zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return file.getvalue()


def pairs():
    return "".join(
        json.dumps({"sentence_good": f"{n} dogs run.", "sentence_bad": f"{n} dogs runs."}) + "\n"
        for n in range(20)
    )


def items():
    rows = [("bees", "birds", 1, 9, 0.3), ("cat", "dog", 1, 5, 0.6), ("bees", "dog", 0, 0, 0.5)]
    text = io.StringIO()
    csv.writer(text).writerows([("Word1", "Word2", "Attested", "OverallFreq", "GenPref"), *rows])
    return text.getvalue().encode()


FILES = {
    "pairs.zip": zipped(agreement_jsonl=pairs()),
    "texts.zip": zipped(t__a_train="".join(LINES[:200]), t__b_train="".join(LINES[200:])),
    "items.csv": items(),
}


@pytest.fixture
def web():
    with web_serving() as web:
        for name, content in FILES.items():
            web.add(f"/{name}", content)
        yield web


@pytest.fixture
def study(tiny, web):
    tiny["downloads"] = {name.split(".")[0]: {"url": f"{web.url}/{name}"} for name in FILES}
    files = ["download:texts/t/a.train", "download:texts/t/b.train"]
    tiny["corpora"] = {"text": {"source": "files", "files": files}}
    tiny["tokenizers"]["bpe"]["corpus"] = "text"
    tiny["probes"] = {
        "pairs": {"type": "minimal_pairs", "pairs": "download:pairs"},
        "items": {
            "type": "binomials",
            "items": "download:items",
            "max_prompts": 2,
            "references": {"human": {"column": "GenPref"}},
        },
    }
    for run in tiny["runs"].values():
        run["corpus"] = "text"
    return tiny


def pinned(study):
    for name, content in FILES.items():
        given = study["downloads"][name.split(".")[0]]
        given |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    return study


def test_a_study_fetches_what_it_needs_and_no_more(elsewhere, study, web):
    elsewhere.write(study)
    dry = elsewhere.dry_run(*TARGETS)
    assert dry.counts == {"download": 3, "unpack": 2, **MADE}
    fetched = {message for message in dry.jobs if message.startswith("Download")}
    assert fetched == {f"Download {name.split('.')[0]}/{name}" for name in FILES}
    assert "Unpack t/a.train from downloads/texts/texts.zip" in dry.jobs
    assert web.asked == []
    assert not (elsewhere.folder / "downloads").exists()

    for page in web.pages.values():
        page.fails = [503]
    web.pages["/texts.zip"].cuts = [100]
    elsewhere.make(*TARGETS)
    folder = elsewhere.folder / "downloads"
    for name, content in FILES.items():
        file = folder / name.split(".")[0] / name
        assert file.read_bytes() == content
        assert read_json(f"{file}.json")["sha256"] == sha256(file)
    splits = (CORPUS, CORPUS.replace("train", "validation"))
    texts = [pl.read_parquet(elsewhere.folder / split)["text"] for split in splits]
    assert sorted(pl.concat(texts)) == sorted(line.strip() for line in LINES)
    # Where text is from stands in the corpus' own record.
    sources = read_json(elsewhere.folder / CORPUS.replace("train.parquet", "provenance.json"))
    described = sources["sources"]["files"]
    unpacked = "downloads/texts/texts.zip.unpacked/t"
    assert [file["path"] for file in described] == [f"{unpacked}/a.train", f"{unpacked}/b.train"]
    assert {path.name for path in folder.rglob(".*")} == {".origins"}

    # Nothing of how a download is described makes what is there stale, or another study's.
    asked = len(web.asked)
    assert elsewhere.dry_run(*TARGETS).counts == {}
    pinned(study)["downloads"]["pairs"] |= {"note": "CC BY", "url": f"{web.url}/mirror/pairs.zip"}
    elsewhere.write(study)
    assert elsewhere.dry_run(*TARGETS).counts == {}
    study["study"] = "second"
    elsewhere.write(study)
    again = [target.replace("tiny", "second") for target in TARGETS]
    assert elsewhere.dry_run(*again).counts == MADE
    assert len(web.asked) == asked

    # But another content is told, before any job.
    study["downloads"]["pairs"]["sha256"] = "0" * 64
    elsewhere.write(study)
    done = elsewhere.call("--dry-run", *again)
    assert done.returncode != 0
    assert "downloads.pairs: downloads/pairs/pairs.zip has the sha256" in done.stdout
    assert "Traceback" not in done.stdout


def test_everything_can_be_fetched_where_there_is_a_network(elsewhere, study, web):
    elsewhere.write(study)
    assert elsewhere.dry_run("downloads").counts == {"download": 3, "downloads": 1}
    elsewhere.make("downloads")
    asked = len(web.asked)
    assert elsewhere.dry_run(*TARGETS).counts == {"unpack": 2, **MADE}
    assert len(web.asked) == asked == 3


def test_without_a_network_files_are_put_there_by_hand(elsewhere, study, web):
    for download in pinned(study)["downloads"].values():
        download["url"] = download["url"].replace(web.url, f"{web.url}/gone")
    elsewhere.write(study)
    file = elsewhere.folder / "downloads" / "pairs" / "pairs.zip"
    done = elsewhere.call("--cores", "1", str(file.relative_to(elsewhere.folder)))
    assert done.returncode != 0
    (told,) = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert told.startswith(f"error: download 'pairs': {web.url}/gone/pairs.zip: 404 Not Found. ")
    assert study["downloads"]["pairs"]["sha256"] in told
    assert f"put it at {file}, " in told
    assert not file.exists()

    asked = len(web.asked)
    for name, content in FILES.items():
        file = elsewhere.folder / "downloads" / name.split(".")[0] / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    assert elsewhere.dry_run(*TARGETS).counts == {"unpack": 2, **MADE}
    assert read_json(f"{file}.json")["how"] == "put there by hand"
    elsewhere.make(CORPUS)
    assert len(web.asked) == asked
    assert elsewhere.dry_run(CORPUS).counts == {}

    # The wrong file is told, and stays where somebody has put it.
    shutil.rmtree(file.parent)
    file.parent.mkdir()
    file.write_bytes(b"mine")
    done = elsewhere.call("--dry-run", ITEMS)
    assert done.returncode != 0
    assert "downloads.items: downloads/items/items.csv was put there, and has" in done.stdout
    assert file.read_bytes() == b"mine"


def test_a_copy_takes_the_place_of_a_download(elsewhere, study, web, tmp_path):
    for name, content in FILES.items():
        path = tmp_path / "mine" / f"my {name}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        study["downloads"][name.split(".")[0]]["path"] = str(path)
    elsewhere.write(pinned(study))
    assert elsewhere.dry_run(*TARGETS).counts == {"unpack": 2, **MADE}
    elsewhere.make(CORPUS)
    assert web.asked == []

    # Unpacked already, in a folder: then there is nothing left to do but to read it.
    with zipfile.ZipFile(tmp_path / "mine" / "my texts.zip") as archive:
        archive.extractall(tmp_path / "mine")
    study["downloads"]["texts"] |= {"path": f"{tmp_path / 'mine'}/"}
    elsewhere.write(study)
    assert elsewhere.dry_run(CORPUS).counts == {"corpus": 1}

    # A copy is checked before any job.
    (tmp_path / "mine" / "my items.csv").write_bytes(FILES["items.csv"].replace(b"cat", b"bat"))
    study["downloads"]["pairs"]["path"] += "x"
    study["downloads"]["texts"]["path"] = f"{tmp_path / 'yours'}/"
    elsewhere.write(study)
    done = elsewhere.call("--dry-run", *TARGETS)
    assert done.returncode != 0
    assert "my items.csv has the sha256 " in done.stdout
    assert "my pairs.zipx: there is no such file" in done.stdout
    assert f"downloads.texts.path: {tmp_path / 'yours'}: there is no such folder" in done.stdout
    assert "Traceback" not in done.stdout


def test_what_was_fetched_is_checked_by_the_job_that_reads_it(elsewhere, study, web):
    web.add("/items.csv", FILES["items.csv"].replace(b"dog,1,5", b"dog,1,often"))
    study["downloads"]["texts"]["save_as"] = "texts.zip"
    elsewhere.write(study)
    done = elsewhere.call("--cores", "2", ITEMS)
    assert done.returncode != 0
    place = "downloads/items/items.csv, line 3: OverallFreq is 'often'"
    assert f"error: {place}" in done.stdout
    # Now that it is there, a dry run tells it too.
    assert f"probes.items: {place}" in elsewhere.call("--dry-run").stdout


def test_a_download_from_the_hub(elsewhere, study, monkeypatch, tmp_path):
    with serving() as hub:
        commit = hub.add("owner/texts", {"v1/texts.zip": FILES["texts.zip"]})
        hub.add("owner/texts", {"v1/texts.zip": b"another"})
        names = type(elsewhere).call.__globals__  # of the conftest that all tests share
        online = {**names["environment"](), **environment_of(hub, tmp_path / "home")}
        monkeypatch.setitem(names, "environment", lambda: online)
        home = {"repo": "owner/texts", "revision": commit, "file": "v1/texts.zip"}
        study["downloads"]["texts"] = home
        elsewhere.write(study)
        elsewhere.make(CORPUS)
        record = read_json(elsewhere.folder / "downloads/texts/texts.zip.json")
        assert (record["commit"], record["home"]["file"]) == (commit, "v1/texts.zip")

        # Another commit is another content: told, not fetched over what results were made from.
        study["downloads"]["texts"] = {**home, "revision": "main"}
        elsewhere.write(study)
        done = elsewhere.call("--dry-run", CORPUS)
        assert done.returncode != 0
        assert f"is from owner/texts, dataset, {commit}, v1/texts.zip, but the" in done.stdout
