import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from corpus_files import texts
from pydantic import TypeAdapter

from ontogeny.command import one_line
from ontogeny.corpus import documents, sources
from ontogeny.corpus.documents import draw, write_corpus
from ontogeny.study.corpora import Corpus, FilesCorpus, Holdout, HubCorpus

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = "One line.\nAnother, with café and 日本.\n\n  indented  \nlast"


def read(path, how="line", column="text"):
    return list(sources.read_files([str(path)], how, column))


def make(folder, training, held_out=None, holdout=None, deduplicate=True):
    """The two splits that come of a list of documents, and the counts."""
    train, validation = folder / "train.parquet", folder / "validation.parquet"
    counts = write_corpus(
        training, held_out, holdout or Holdout(share=0), deduplicate, train, validation
    )
    return texts(train), texts(validation), counts


# ---------------------------------------------------------------------------- reading files


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_text_is_read_by_line_paragraph_or_file(tmp_path, suffix):
    compress = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}[suffix]
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(compress(TEXT.encode()))
    assert read(path) == TEXT.split("\n")
    assert read(path, "paragraph") == [
        "One line.\nAnother, with café and 日本.",
        "  indented  \nlast",
    ]
    assert read(path, "file") == [TEXT]


def test_no_other_separator_ends_a_line_and_a_byte_order_mark_is_no_text(tmp_path):
    path = tmp_path / "a.train"
    path.write_bytes("\ufeffone\u2028still one\x0c\r\ntwo\x85\nthree\r\n".encode())
    assert read(path) == ["one\u2028still one\x0c", "two\x85", "three"]
    assert read(path, "file") == ["one\u2028still one\x0c\ntwo\x85\nthree\n"]


def test_jsonl_and_parquet_give_their_column(tmp_path):
    lines = tmp_path / "a.jsonl.gz"
    rows = [{"body": text, "n": i} for i, text in enumerate(TEXT.split("\n"))]
    lines.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode() + b"\n\n"))
    table = tmp_path / "b.parquet"
    pq.write_table(pa.Table.from_pylist(rows), table)
    assert read(lines, column="body") == read(table, column="body") == TEXT.split("\n")
    kinds = (pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string()))
    for kind in kinds:
        pq.write_table(pa.table({"body": pa.array(["x", None]).cast(kind)}), table)
        assert read(table, column="body") == ["x", ""]


def test_files_are_read_in_the_order_given(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(f"{name}1\n{name}2")
    order = [str(tmp_path / name) for name in "ba"]
    assert list(sources.read_files(order, "line", "text")) == ["b1", "b2", "a1", "a2"]


def broken_gzip():
    return gzip.compress(random.Random(0).randbytes(300_000).hex().encode())[:100_000]


def broken_zstd():
    return zstandard.compress(random.Random(0).randbytes(300_000).hex().encode())[:100_000]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "no text in it"),
        ("a.txt", b" \n\t\n", "no text in it"),
        ("a.txt", b"fine\nal\xe9a\n", r"line 2: byte 0xe9, at position 7 .* not UTF-8"),
        ("a.txt", b"\xef\xbb\xbfok\n\xff", r"line 2: byte 0xff, at position 6 "),
        pytest.param("a.txt.gz", broken_gzip(), "it is cut short", id="cut.gz"),
        ("a.txt.gz", b"plain text", "it is not gzip"),
        pytest.param("a.txt.zst", broken_zstd(), "it is cut short", id="cut.zst"),
        ("a.jsonl", b'{"text": "a"}\n{"text": ', r"line 2: it is not JSON"),
        (
            "a.jsonl",
            b'{"text": "a"}\n\n{"body": "b"}',
            r"line 3: there is no 'text'; there is: body",
        ),
        ("a.jsonl", b'{"text": 3}', r"line 1: 'text' must be a string, and is a number"),
        ("a.jsonl", b'{"text": null}', r"line 1: 'text' must be a string, and is null"),
        ("a.jsonl", b'["a"]', r"line 1: it must be an object, and is a list"),
        ("a.jsonl", b'{"text": "\\ud800"}', r"line 1: 'text' holds half a surrogate pair"),
        ("a.jsonl", b"", "no text in it"),
        ("a.csv", b"text\na\n", ".csv is not a format"),
        ("a.csv.gz", b"text\na\n", ".csv is not a format"),
        ("a.parquet", b"no parquet", "not a parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read(path)
    assert str(path) in str(error.value)


def test_a_missing_column_names_those_there_are(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"body": ["x"], "n": [1]}), path)
    with pytest.raises(ValueError, match="no column 'text'; there is: body, n"):
        read(path)
    with pytest.raises(ValueError, match="column 'n' holds int64"):
        read(path, column="n")


def test_a_missing_file_is_found_before_the_others_are_read(tmp_path):
    (tmp_path / "a").write_text("a")
    with pytest.raises(FileNotFoundError, match="absent: there is no such file"):
        next(sources.read_files([str(tmp_path / "a"), str(tmp_path / "absent")], "line", "text"))


# ---------------------------------------------------------------------------- datasets


@pytest.fixture
def hub_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    folder.mkdir()
    for split, count in (("train", 2500), ("validation", 3)):
        column = [f"{split} {i}" for i in range(count)]
        pq.write_table(pa.table({"text": column, "n": range(count)}), folder / f"{split}.parquet")
    return folder


@pytest.mark.parametrize("streaming", [False, True])
def test_a_local_dataset_is_read_by_split(hub_folder, streaming):
    spec = HubCorpus(
        source="hub", dataset=str(hub_folder), validation_split="validation", streaming=streaming
    )
    assert list(sources.training_documents(spec)) == [f"train {i}" for i in range(2500)]
    assert list(sources.validation_documents(spec)) == [f"validation {i}" for i in range(3)]


def test_a_dataset_saved_to_disk_is_read(tmp_path):
    split = datasets.Dataset.from_dict({"text": ["a", None, "b"]})
    datasets.DatasetDict({"train": split}).save_to_disk(tmp_path / "many")
    split.save_to_disk(tmp_path / "one")
    for name in ("many", "one"):
        spec = HubCorpus(source="hub", dataset=str(tmp_path / name))
        assert list(sources.training_documents(spec)) == ["a", "", "b"]
    with pytest.raises(ValueError, match="unknown split 'dev'; there is: train"):
        list(sources.read_hub(spec, "dev"))


@pytest.mark.parametrize("streaming", [False, True])
def test_a_dataset_without_the_split_or_column_says_what_there_is(hub_folder, streaming):
    spec = HubCorpus(source="hub", dataset=str(hub_folder), streaming=streaming)
    with pytest.raises(ValueError, match=r"split 'dev'.*train"):
        list(sources.read_hub(spec, "dev"))
    absent = spec.model_copy(update={"text_column": "body"})
    with pytest.raises(ValueError, match="no column 'body'; there is: text, n"):
        list(sources.training_documents(absent))
    number = spec.model_copy(update={"text_column": "n"})
    with pytest.raises(ValueError, match="row 0: column 'n' must hold text"):
        list(sources.training_documents(number))


def test_a_dataset_that_cannot_be_fetched_points_to_local_copies(monkeypatch):
    def no_network(*_, **__):
        raise ConnectionError("Couldn't reach the Hub")

    monkeypatch.setattr(datasets, "load_dataset", no_network)
    spec = HubCorpus(source="hub", dataset="somebody/something")
    with pytest.raises(ValueError, match=r"could not be fetched .*reach.*local copy.*files"):
        list(sources.training_documents(spec))


def test_a_dataset_is_asked_for_with_the_token_of_the_environment_alone(monkeypatch):
    asked = []

    def load(*_, token, **__):
        asked.append(token)
        return datasets.Dataset.from_dict({"text": ["a"]})

    monkeypatch.setattr(datasets, "load_dataset", load)
    for token in ("", "hf_one"):
        monkeypatch.setenv("HF_TOKEN", token)
        spec = HubCorpus(source="hub", dataset="somebody/something")
        assert list(sources.training_documents(spec)) == ["a"]
    assert asked == [False, "hf_one"]


# ---------------------------------------------------------------------------- splits


def test_documents_keep_their_order_and_every_one_is_in_one_split(tmp_path):
    everything = [f"document {i}" for i in range(1000)]
    train, validation, _ = make(tmp_path, everything, holdout=Holdout(share=0.1))
    assert sorted(train + validation) == sorted(everything)
    for split in (train, validation):
        assert split == sorted(split, key=everything.index)
    assert len(validation) == 100
    # drawn at random, not the first or last rows: the mean position of 100 of 1,000 has sd 27
    positions = [everything.index(text) for text in validation]
    assert abs(np.mean(positions) - 499.5) < 5 * 27


def test_empty_documents_and_later_duplicates_are_dropped_and_counted(tmp_path):
    train, _, counts = make(tmp_path, ["b", "", "a", " \n\t\u2003", "b", "B", "a", "a "])
    assert train == ["b", "a", "B", "a "]
    assert {key: counts[key] for key in ("read", "empty", "duplicates")} == {
        "read": 8,
        "empty": 2,
        "duplicates": 2,
    }
    train, _, counts = make(tmp_path, ["b", "", "b"], deduplicate=False)
    assert train == ["b", "b"] and counts["duplicates"] == 0


def test_nothing_held_out_is_trained_on(tmp_path):
    repeated = [f"line {i % 50}" for i in range(1000)]
    train, validation, _ = make(tmp_path, repeated, holdout=Holdout(share=0.2))
    assert len(train) == 40 and len(validation) == 10 and not set(train) & set(validation)

    train, validation, counts = make(tmp_path, list("abcab"), held_out=list("bxb"))
    assert (train, validation) == (["a", "c"], ["b", "x"])
    assert counts["also_held_out"] == 1 and counts["held_out_duplicates"] == 1
    train, validation, _ = make(tmp_path, list("abca"), held_out=list("xbx"), deduplicate=False)
    assert (train, validation) == (list("abca"), list("xx"))


def test_the_draw_has_its_size_and_depends_on_the_seed_alone():
    candidates = np.ones(1000, bool)
    candidates[::3] = False
    chosen = draw(candidates, Holdout(share=0.1))
    assert chosen.sum() == round(0.1 * candidates.sum()) and not (chosen & ~candidates).any()
    assert np.array_equal(chosen, draw(candidates, Holdout(share=0.1)))
    assert not np.array_equal(chosen, draw(candidates, Holdout(share=0.1, seed=1)))
    assert draw(candidates, Holdout(share=0.1, max_documents=7)).sum() == 7
    assert draw(candidates[:5], Holdout(share=1e-9)).sum() == 1
    assert draw(candidates, Holdout(share=0)).sum() == 0


@pytest.mark.parametrize(
    ("training", "held_out", "share", "message"),
    [
        (["", " "], None, 0.0, "its source holds no text"),
        (["one"], None, 0.01, "no documents are left to train on: holding out share 0.01"),
        (["a", "b"], ["b", "a"], 0.0, "all 2 different ones are also held out"),
        (["a"], [" "], 0.0, "held-out split has no documents"),
    ],
)
def test_nothing_is_written_when_nothing_is_left(tmp_path, training, held_out, share, message):
    with pytest.raises(ValueError, match=message):
        make(tmp_path, training, held_out, Holdout(share=share))
    assert not list(tmp_path.iterdir())


def test_many_row_groups_change_nothing(tmp_path, monkeypatch):
    rng = random.Random(0)
    everything = ["x" * rng.randint(0, 9) + str(rng.randint(0, 300)) for _ in range(2000)]
    whole = make(tmp_path, everything, holdout=Holdout(share=0.1))
    monkeypatch.setattr(documents, "ROW_GROUP_BYTES", 40)
    assert make(tmp_path, everything, holdout=Holdout(share=0.1)) == whole
    assert pq.read_metadata(tmp_path / "train.parquet").num_row_groups > 10
    train, _, counts = whole
    assert counts["train"] == {"documents": len(train), "bytes": len("".join(train))}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("name", ["train.parquet", "validation.parquet"])
def test_a_full_disk_is_told_by_the_file_and_leaves_nothing(tmp_path, name):
    (tmp_path / f".{name}.{os.getpid()}.tmp").symlink_to("/dev/full")  # where it is written first
    with pytest.raises(OSError) as error:
        make(tmp_path, [f"line {i}" for i in range(50)], holdout=Holdout(share=0.1))
    assert one_line(error.value) == f"{tmp_path / name}: No space left on device"
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------- the script


def run_script(folder, spec, *arguments):
    command = [sys.executable, REPOSITORY / "scripts/corpus.py", "--spec", json.dumps(spec)]
    command += ["--train", folder / "train.parquet"]
    command += ["--validation", folder / "validation.parquet"]
    command += ["--provenance", folder / "provenance.json", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_script_writes_the_splits_and_where_they_are_from(tmp_path):
    source = tmp_path / "a.txt"
    source.write_text("\n".join(f"line {i}" for i in range(100)))
    spec = {"source": "files", "files": ["*.txt"], "holdout": {"share": 0.05}}
    out = tmp_path / "out"
    done = run_script(out, spec, "--files", source)
    assert done.returncode == 0, done.stderr
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["documents"]["train"]["documents"] == len(texts(out / "train.parquet")) == 95
    assert provenance["sources"]["files"][0]["bytes"] == source.stat().st_size
    assert TypeAdapter(Corpus).validate_python(provenance["corpus"]) == FilesCorpus(**spec)
    first = (out / "train.parquet").read_bytes()
    run_script(out, spec, "--files", source)
    assert (out / "train.parquet").read_bytes() == first


def test_a_mistake_is_one_line_and_leaves_no_files(tmp_path, monkeypatch):
    source = tmp_path / "a.txt"
    source.write_bytes(b"caf\xe9\n")
    out = tmp_path / "out"
    out.mkdir()
    done = run_script(out, {"source": "files", "files": ["x"]}, "--files", source)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: {source}, line 1: byte 0xe9")
    assert "Traceback" not in done.stderr
    assert not list(out.iterdir())
    monkeypatch.setenv("ONTOGENY_TRACEBACK", "1")
    done = run_script(out, {"source": "files", "files": ["x"]}, "--files", source)
    assert done.returncode == 1 and "Traceback" in done.stderr
    monkeypatch.delenv("ONTOGENY_TRACEBACK")
    done = run_script(out, {"source": "files", "files": ["x"]}, "--files", out / "absent")
    assert done.stderr.splitlines() == [f"error: {out / 'absent'}: No such file or directory"]
    done = run_script(out, {"source": "file", "files": ["x"]}, "--files", source)
    assert done.returncode == 1 and done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_the_toy_language_is_a_source(tmp_path):
    spec = {"source": "toy", "words": 5000}
    done = run_script(tmp_path, spec, "--files", "--validation-files")
    assert done.returncode == 0, done.stderr
    words = sum(
        len(text.split())
        for name in ("train", "validation")
        for text in texts(tmp_path / f"{name}.parquet")
    )
    assert 4000 < words < 6000
