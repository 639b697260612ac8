import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from ontogeny.command import one_line
from ontogeny.corpus import pieces, tokens
from ontogeny.corpus.pieces import CharacterEncoder, Checked, Encoder, WordEncoder, make_encoder
from ontogeny.corpus.tokenizer import load_tokenizer, make_characters, save_tokenizer, train_bpe
from ontogeny.corpus.tokens import read_batches, read_tokens, token_dtype, write_tokens
from ontogeny.origins import sha256
from ontogeny.study.models import BpeTokenizer, CharacterTokenizer

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED_TEXT = REPOSITORY.parent / "shared" / "data" / "text" / "english_mixed.txt"
DOCUMENTS = [
    "The ham and eggs were good.",
    'Bread  and butter, "ham" and cheese;\n\nthe Cat and the dog! ',
    "She said: don't go, it's 20s music (well-known) <s> and left.",
    " Naïve café, straße, İstanbul, ΣΟΦΟΣ, 日本語. \t",
] * 25
#: what the pre-tokeniser tells apart: kinds of white space, apostrophes, letters, digits, signs
ALPHABET = [
    *" \n\t  ''.,-!aAbBst1é日İςΣ_\r<>²½",
    "\u00a0",
    "\u2003",
    "\u0085",
    "\u200b",
    "\x1c",
    "'ll",
    "\u3000",
]


def bpe(**options):
    spec = BpeTokenizer(type="bpe", corpus="x", vocab_size=400, **options)
    tokenizer = train_bpe(spec, DOCUMENTS)
    tokenizer.encode_special_tokens = True
    return tokenizer


def characters(**options):
    spec = CharacterTokenizer(type="characters", corpus="x", **options)
    tokenizer = make_characters(spec, DOCUMENTS)
    tokenizer.encode_special_tokens = True
    return tokenizer


SPLITS = ("train", "validation")
BPE_OPTIONS = [
    {},
    {"lowercase": False},
    {"prefix_space": False},
    {"bos": False},
    {"lowercase": False, "prefix_space": False, "bos": False},
]


def fast_encoder(tokenizer):
    """The fast encoder alone, without the check that falls back to the library."""
    bos = tokenizer.encode("").ids
    encoder = make_encoder(tokenizer, bos[0] if bos else None)
    assert isinstance(encoder, Checked)
    return encoder.fast


def assert_same(fast, slow, texts):
    texts = pa.array(texts, pa.large_string())
    for ours, theirs in zip(fast.encode(texts), slow.encode(texts), strict=True):
        assert np.array_equal(ours, theirs)


# ---------------------------------------------------------------------------- encoding


@pytest.mark.parametrize("options", BPE_OPTIONS, ids=str)
def test_words_encode_as_the_library_does(options):
    tokenizer = bpe(**options)
    fast, slow = fast_encoder(tokenizer), Encoder(tokenizer)
    assert isinstance(fast, WordEncoder)
    rng = random.Random(0)
    random_texts = ["".join(rng.choices(ALPHABET, k=rng.randint(0, 12))) for _ in range(20_000)]
    assert_same(fast, slow, DOCUMENTS)
    assert_same(fast, slow, random_texts)
    assert_same(fast, slow, ["".join(random_texts)])
    assert_same(fast, slow, [])
    assert_same(fast, slow, ["", "", "a", ""])


@pytest.mark.parametrize("options", [{}, {"lowercase": True}, {"bos": False}], ids=str)
def test_characters_encode_as_the_library_does(options):
    tokenizer = characters(**options)
    fast, slow = fast_encoder(tokenizer), Encoder(tokenizer)
    assert isinstance(fast, CharacterEncoder)
    rng = random.Random(0)
    random_texts = ["".join(rng.choices(ALPHABET, k=rng.randint(0, 12))) for _ in range(5000)]
    for texts in (DOCUMENTS, random_texts, [], ["", "a", ""]):
        assert_same(fast, slow, texts)


def test_code_points_of_all_kinds_encode_as_the_library_does():
    """Every one of the lower planes' first 13,000, beside letters, signs, spaces and itself."""
    points = [*range(0x3300), *range(0xFE00, 0x10000), *range(0x1F300, 0x1F700)]
    texts = [f"{c}a{c} {c}! {c}{c} 1{c}.{c}'s {c}" for c in map(chr, points)]
    tokenizer = bpe()
    assert_same(fast_encoder(tokenizer), Encoder(tokenizer), texts)


def test_slices_of_a_batch_encode_alike():
    fast = fast_encoder(bpe())
    whole = pa.array(DOCUMENTS, pa.large_string())
    assert np.array_equal(
        fast.encode(whole.slice(7, 20))[0],
        fast.encode(pa.array(DOCUMENTS[7:27], pa.large_string()))[0],
    )


def test_forgetting_known_pieces_changes_nothing(monkeypatch):
    monkeypatch.setattr(pieces, "MOST_PIECES", 20)
    tokenizer = bpe()
    fast, slow = fast_encoder(tokenizer), Encoder(tokenizer)
    for start in range(0, len(DOCUMENTS), 3):
        assert_same(fast, slow, DOCUMENTS[start : start + 3])


@pytest.mark.parametrize(
    "change",
    [
        lambda t: setattr(t, "normalizer", normalizers.NFC()),
        lambda t: setattr(t, "pre_tokenizer", pre_tokenizers.Metaspace()),
        lambda t: setattr(t, "pre_tokenizer", pre_tokenizers.ByteLevel(use_regex=False)),
        lambda t: t.add_tokens(["ham and"]),
    ],
)
def test_other_pipelines_go_through_the_library(change):
    tokenizer = bpe()
    change(tokenizer)
    assert type(make_encoder(tokenizer, 1)) is Encoder


def test_a_wrong_fast_encoder_is_found_out(monkeypatch, capsys):
    tokenizer = bpe()
    monkeypatch.setattr(pieces, "cuts", lambda data: np.ones(len(data), bool))  # single bytes
    encoder = make_encoder(tokenizer, 1)
    assert_same(encoder, Encoder(tokenizer), ["ham and eggs"] * 10)
    assert "library's own speed" in capsys.readouterr().err


# ---------------------------------------------------------------------------- files


@pytest.fixture
def corpus(tmp_path):
    """Tokenizer and documents of both splits as files."""
    save_tokenizer(bpe(), tmp_path / "tokenizer.json", tmp_path / "tokenizer_config.json")
    files = {"train": DOCUMENTS, "validation": DOCUMENTS[1:4]}
    for split, texts in files.items():
        pq.write_table(pa.table({"text": texts}), tmp_path / f"{split}.parquet", row_group_size=30)
    return tmp_path


def write(corpus, folder="tokens"):
    documents = {split: corpus / f"{split}.parquet" for split in SPLITS}
    return write_tokens(corpus / "tokenizer.json", documents, corpus / folder)


def test_files_hold_every_document_after_its_bos(corpus):
    meta = write(corpus)
    tokenizer, info = load_tokenizer(corpus / "tokenizer.json")
    assert meta == json.loads((corpus / "tokens/meta.json").read_text())
    assert meta["tokenizer_sha256"] == sha256(corpus / "tokenizer.json")
    assert (meta["dtype"], meta["bos_id"], meta["vocab_size"]) == ("uint16", 1, info.vocab_size)
    for split, texts in (("train", DOCUMENTS), ("validation", DOCUMENTS[1:4])):
        ids = read_tokens(corpus / f"tokens/{split}.bin", meta["dtype"])
        starts = np.load(corpus / f"tokens/{split}.documents.npy")
        assert starts.dtype == np.uint64 and starts[0] == 0
        found = [part.tolist() for part in np.split(ids, starts[1:].astype(int))]
        assert found == [tokenizer.encode(text).ids for text in texts]
        assert (ids[starts.astype(int)] == info.bos_id).all()
        assert meta["splits"][split] == {
            "tokens": len(ids),
            "documents": len(texts),
            "bytes": sum(len(text.encode()) for text in texts),
            "unknown": 0,
        }


def test_the_size_of_batches_changes_nothing(corpus, monkeypatch):
    write(corpus, "whole")
    monkeypatch.setattr(tokens, "BATCH_BYTES", 100)
    monkeypatch.setattr(tokens, "BATCH_ROWS", 7)
    batches = list(read_batches(corpus / "train.parquet"))
    assert len(batches) > len(DOCUMENTS) / 7
    assert [text.as_py() for batch in batches for text in batch] == DOCUMENTS
    write(corpus, "parts")
    for file in (corpus / "whole").iterdir():
        assert file.read_bytes() == (corpus / "parts" / file.name).read_bytes()


def test_ids_take_16_bits_while_they_fit():
    assert token_dtype(65_536) == np.dtype("<u2") and token_dtype(65_537) == np.dtype("<u4")


def test_a_large_vocabulary_is_written_in_32_bits(tmp_path):
    vocabulary = {f"w{i}": i for i in range(70_000)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    for split in SPLITS:
        pq.write_table(pa.table({"text": ["w69999 w1"]}), tmp_path / f"{split}.parquet")
    meta = write(tmp_path)
    assert (meta["dtype"], meta["bos_id"]) == ("uint32", None)
    assert read_tokens(tmp_path / "tokens/train.bin", meta["dtype"]).tolist() == [69_999, 1]


def test_an_empty_split_has_no_tokens(corpus):
    empty = pa.table({"text": pa.array([], pa.large_string())})
    pq.write_table(empty, corpus / "validation.parquet")
    meta = write(corpus)
    assert meta["splits"]["validation"]["tokens"] == 0
    assert len(read_tokens(corpus / "tokens/validation.bin", meta["dtype"])) == 0
    assert len(np.load(corpus / "tokens/validation.documents.npy")) == 0


def test_unknown_characters_are_counted(corpus, capsys):
    files = (corpus / "tokenizer.json", corpus / "tokenizer_config.json")
    save_tokenizer(characters(), *files)
    pq.write_table(pa.table({"text": ["hamŁŁ", "Ł"]}), corpus / "validation.parquet")
    meta = write(corpus)
    assert meta["splits"]["validation"]["unknown"] == 3 and meta["splits"]["train"]["unknown"] == 0
    assert "validation: 3 tokens are unknown" in capsys.readouterr().err


def run_script(corpus):
    command = [sys.executable, REPOSITORY / "scripts/tokens.py"]
    command += ["--tokenizer", corpus / "tokenizer.json"]
    command += ["--train-documents", corpus / "train.parquet"]
    command += ["--validation-documents", corpus / "validation.parquet"]
    command += ["--output-folder", corpus / "tokens"]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_script_writes_all_files_or_none(corpus):
    good = (corpus / "validation.parquet").read_bytes()
    (corpus / "validation.parquet").write_bytes(good[: len(good) // 2])
    done = run_script(corpus)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"error: {corpus / 'validation.parquet'}: ")
    assert not list((corpus / "tokens").iterdir())

    (corpus / "validation.parquet").write_bytes(good)
    done = run_script(corpus)
    assert done.returncode == 0, done.stderr
    assert sorted(file.name for file in (corpus / "tokens").glob("[!.]*")) == [
        "meta.json",
        "train.bin",
        "train.documents.npy",
        "validation.bin",
        "validation.documents.npy",
    ]


def test_a_missing_column_is_named(corpus):
    pq.write_table(pa.table({"body": ["a"]}), corpus / "train.parquet")
    with pytest.raises(ValueError, match=r"train\.parquet: there is no column 'text'.* body"):
        write(corpus)


@pytest.mark.skipif(not SHARED_TEXT.is_file(), reason="needs shared/data/text/english_mixed.txt")
def test_real_text_encodes_as_the_library_does():
    texts = SHARED_TEXT.read_text(encoding="utf-8").splitlines()[::20]
    spec = BpeTokenizer(type="bpe", corpus="x", vocab_size=8192)
    tokenizer = train_bpe(spec, texts)
    assert_same(fast_encoder(tokenizer), Encoder(tokenizer), texts)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("name", ["train.bin", "train.documents.npy", "validation.bin"])
def test_a_full_disk_is_told_by_the_file_and_leaves_nothing(tmp_path, name):
    make_documents = {split: tmp_path / f"{split}.parquet" for split in SPLITS}
    for path in make_documents.values():
        pq.write_table(pa.table({"text": ["some text"] * 1000}), path)
    save_tokenizer(characters(), tmp_path / "tokenizer.json", tmp_path / "config.json")
    folder = tmp_path / "tokens"
    folder.mkdir()
    (folder / f".{name}.{os.getpid()}.tmp").symlink_to("/dev/full")  # where it is written to first
    with pytest.raises(OSError) as error:
        write_tokens(tmp_path / "tokenizer.json", make_documents, folder)
    assert one_line(error.value) == f"{folder / name}: No space left on device"
    assert list(folder.iterdir()) == []
