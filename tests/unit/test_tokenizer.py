import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer

from ontogeny.corpus.tokenizer import (
    load_tokenizer,
    make_characters,
    save_tokenizer,
    take_pretrained,
    train_bpe,
)
from ontogeny.study.models import BpeTokenizer, CharacterTokenizer, PretrainedTokenizer

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    "The ham and eggs were good.",
    "Bread and butter, ham and cheese; the Cat and the dog!",
    "She said: \"Don't go, it's 20s music\" and left.",
    "Naïve café, straße, İstanbul, ΣΟΦΟΣ, 日本語.",
] * 20
TEXTS = [
    "",
    " ",
    "The Ham AND Eggs",
    " leading space",
    "  two leading, two  inside, two trailing  ",
    "line\nbreak\n\n\ttab\r\n",
    "don't, it's: (well-known) \"quotes\" 3.14 20s!?",
    "Naïve café STRASSE straße İstanbul ΣΟΦΟΣ 日本語 👩‍👩‍👧 e\u0301 \u00a0nbsp\u2003em",
    "a.b./m.a. and c./d.",
]
SPECIAL_TEXTS = ["a <s> b</s><pad>", "<unk>", "<s>", "<S>"]


def save(tokenizer, folder, specials=None):
    folder.mkdir(parents=True, exist_ok=True)
    files = (folder / "tokenizer.json", folder / "tokenizer_config.json")
    save_tokenizer(tokenizer, *files, **({"specials": specials} if specials else {}))
    return files[0]


def bpe(**options):
    spec = {"vocab_size": 400, **options}
    return train_bpe(BpeTokenizer(type="bpe", corpus="x", **spec), DOCUMENTS)


def characters(**options):
    return make_characters(CharacterTokenizer(type="characters", corpus="x", **options), DOCUMENTS)


VARIANTS = {
    "as published": lambda: bpe(),
    "cased": lambda: bpe(lowercase=False),
    "no prefix space": lambda: bpe(prefix_space=False),
    "no bos": lambda: bpe(bos=False),
    "bare": lambda: bpe(lowercase=False, prefix_space=False, bos=False),
    "characters": lambda: characters(),
    "lower characters": lambda: characters(lowercase=True),
    "characters without bos": lambda: characters(bos=False),
}


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request):
    return VARIANTS[request.param]()


# ---------------------------------------------------------------------------- what it does


def test_special_tokens_bytes_and_size():
    tokenizer = bpe(vocab_size=300)
    assert tokenizer.get_vocab_size() == 300
    specials = ["<pad>", "<s>", "</s>", "<unk>"]
    assert [tokenizer.token_to_id(token) for token in specials] == [0, 1, 2, 3]
    assert set(pre_tokenizers.ByteLevel.alphabet()) <= set(tokenizer.get_vocab())


def test_the_options_do_what_they_say():
    text = "Ham and eggs"
    assert bpe().encode(text).ids == bpe().encode(" ham AND eggs").ids
    assert bpe(lowercase=False).encode(text).ids != bpe(lowercase=False).encode(text.lower()).ids
    plain = bpe(prefix_space=False)
    assert plain.encode(text).ids != plain.encode(" " + text).ids
    assert bpe().encode(text).ids[0] == 1 and 1 not in bpe().encode(text).ids[1:]
    assert 1 not in bpe(bos=False).encode(text).ids
    assert bpe().encode("").ids == [1] and bpe(bos=False).encode("").ids == []


def test_every_text_is_representable_in_bytes():
    every_byte = "".join(map(chr, range(0x250))) + "\U0010ffff 日本語 👩‍👩‍👧"
    tokenizer = train_bpe(
        BpeTokenizer(type="bpe", corpus="x", vocab_size=260, lowercase=False), ["a b"]
    )
    ids = tokenizer.encode(every_byte).ids
    assert 3 not in ids
    assert tokenizer.decode(ids) == " " + every_byte


def test_merges_follow_frequency_and_min_frequency():
    spec = BpeTokenizer(type="bpe", corpus="x", vocab_size=262, min_frequency=3)
    tokenizer = train_bpe(spec, ["ab ab ab", "cd cd"])  # the pairs: "ab", then " ab"
    assert {t for t, i in tokenizer.get_vocab().items() if i >= 260} == {"ab", "Ġab"}
    spec = spec.model_copy(update={"min_frequency": 4})
    assert train_bpe(spec, ["ab ab ab", "cd cd"]).get_vocab_size() == 260


def test_a_text_decodes_to_itself(variant):
    normalize = variant.normalizer.normalize_str if variant.normalizer else str
    prefix = variant.pre_tokenizer and getattr(variant.pre_tokenizer, "add_prefix_space", False)
    for text in TEXTS[1:-2] if "é" in variant.get_vocab() else TEXTS[1:]:
        if not variant.pre_tokenizer and not set(normalize(text)) <= set(variant.get_vocab()):
            continue
        expected = normalize(text)
        if prefix and not expected.startswith(" "):
            expected = " " + expected
        assert variant.decode(variant.encode(text).ids) == expected


def test_characters_are_tokens_and_unknown_ones_are_each_unk():
    tokenizer = characters()
    assert tokenizer.encode("ham").tokens == ["<s>", "h", "a", "m"]
    assert tokenizer.encode("hŁŁm").ids.count(3) == 2
    assert tokenizer.get_vocab_size() == 4 + len(set("".join(DOCUMENTS)))
    lower = characters(lowercase=True)
    assert lower.encode("HAM").ids == lower.encode("ham").ids
    assert 3 not in lower.encode("".join(DOCUMENTS)).ids  # İ becomes i and a combining dot


@pytest.mark.parametrize("threads", ["1", "2"])
def test_training_is_deterministic(tmp_path, threads):
    documents = tmp_path / "train.parquet"
    pq.write_table(pa.table({"text": DOCUMENTS}), documents)
    spec = {"type": "bpe", "corpus": "x", "vocab_size": 400}
    command = [sys.executable, REPOSITORY / "scripts/tokenizer.py", "--spec", json.dumps(spec)]
    command += ["--documents", documents, "--output", tmp_path / "tokenizer.json"]
    command += ["--output-config", tmp_path / "tokenizer_config.json"]
    environment = {**os.environ, "RAYON_NUM_THREADS": threads}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    expected = save(bpe(), tmp_path / "here").read_bytes()
    assert (tmp_path / "tokenizer.json").read_bytes() == expected


# ---------------------------------------------------------------------------- save and load


@pytest.mark.parametrize("model_type", [None, "opt", "llama", "gpt2", "gpt_neox"])
def test_auto_tokenizer_gives_exactly_the_same_ids(tmp_path, variant, model_type):
    path = save(variant, tmp_path)
    if model_type:
        config = {"model_type": model_type, "bos_token_id": 1, "eos_token_id": 2}
        (tmp_path / "config.json").write_text(json.dumps(config))
    plain = Tokenizer.from_file(str(path))
    loaded, info = load_tokenizer(path)
    auto = AutoTokenizer.from_pretrained(tmp_path)
    auto.save_pretrained(tmp_path / "again")
    if model_type:
        (tmp_path / "again" / "config.json").write_text(json.dumps(config))
    again = AutoTokenizer.from_pretrained(tmp_path / "again")
    for text in TEXTS:
        ids = plain.encode(text).ids
        assert ids == variant.encode(text).ids
        assert loaded.encode(text).ids == ids
        assert auto(text)["input_ids"] == ids
        assert again(text)["input_ids"] == ids
        assert auto.decode(ids, skip_special_tokens=True) == loaded.decode(ids)
    for text in SPECIAL_TEXTS:  # text is text: no control token but the BOS
        ids = loaded.encode(text).ids
        assert auto(text)["input_ids"] == ids == again(text)["input_ids"]
        assert not set(ids[info.bos_id is not None :]) & {0, 1, 2}
    batch = auto([*TEXTS, "x " * 3000])["input_ids"]
    assert batch == [plain.encode(text).ids for text in [*TEXTS, "x " * 3000]]
    assert (auto.pad_token_id, auto.bos_token_id, auto.eos_token_id) == (0, 1, 2)


def test_nothing_is_padded_or_truncated(tmp_path):
    saved = json.loads(save(bpe(), tmp_path).read_text())
    assert saved["padding"] is None and saved["truncation"] is None


def test_info_says_what_the_tokenizer_does(tmp_path):
    _, info = load_tokenizer(save(bpe(vocab_size=300), tmp_path / "a"))
    assert (info.vocab_size, info.pad_id, info.bos_id, info.eos_id, info.unk_id) == (
        300,
        0,
        1,
        2,
        3,
    )
    _, info = load_tokenizer(save(bpe(bos=False), tmp_path / "b"))
    assert info.bos_id is None and info.eos_id == 2


def test_loading_needs_neither_torch_nor_transformers(tmp_path):
    path = save(bpe(), tmp_path)
    program = (
        "import sys; from ontogeny.corpus.tokenizer import load_tokenizer; "
        f"load_tokenizer({str(path)!r}); print({{'torch', 'transformers'}} & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "scripts")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_tokenizer_that_adds_more_than_bos_is_refused(tmp_path):
    tokenizer = bpe()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    path = save(tokenizer, tmp_path)
    with pytest.raises(ValueError, match=r"it puts \[1, 2\] around a text"):
        load_tokenizer(path)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 2)]
    )
    with pytest.raises(ValueError, match=r"it puts \[2\] around a text"):
        load_tokenizer(save(tokenizer, tmp_path))
    with pytest.raises(FileNotFoundError, match="no such tokenizer"):
        load_tokenizer(tmp_path / "absent" / "tokenizer.json")


# ---------------------------------------------------------------------------- pretrained


def pretrained(folder, **options):
    return take_pretrained(PretrainedTokenizer(type="pretrained", path=str(folder), **options))


def test_a_folder_is_taken_as_it_is(tmp_path, variant):
    save(variant, tmp_path / "a")
    bos = variant.encode("").ids == [1]
    taken, specials = pretrained(tmp_path / "a", bos=bos)
    path = save(taken, tmp_path / "b", specials)
    loaded, info = load_tokenizer(path)
    for text in TEXTS + SPECIAL_TEXTS:
        assert (
            loaded.encode(text).ids
            == load_tokenizer(tmp_path / "a/tokenizer.json")[0].encode(text).ids
        )
    assert info.bos_id == (1 if bos else None)


def test_the_bos_policy_replaces_what_the_tokenizer_did(tmp_path):
    theirs = bpe()
    theirs.enable_padding(length=64)
    theirs.enable_truncation(8)
    theirs.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    save(theirs, tmp_path)
    for bos in (True, False):
        taken, _ = pretrained(tmp_path, bos=bos)
        expected = bpe(bos=bos).encode("bread and butter, ham and cheese").ids
        assert taken.encode("bread and butter, ham and cheese").ids == expected


def test_bos_is_asked_of_a_tokenizer_that_has_none(tmp_path):
    theirs = Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    theirs.pre_tokenizer = pre_tokenizers.Whitespace()
    theirs.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match=r"has no beginning-of-sequence token; set `bos: false`"):
        pretrained(tmp_path)
    taken, specials = pretrained(tmp_path, bos=False)
    assert taken.encode("a b a").ids == [0, 1, 0]
    assert (
        load_tokenizer(save(taken, tmp_path / "b", specials or {"unk_token": "?"}))[1].unk_id == 1
    )


def test_special_tokens_are_found_under_other_names(tmp_path):
    theirs = bpe(bos=False)
    theirs.add_special_tokens(["<|endoftext|>"])
    theirs.save(str(tmp_path / "tokenizer.json"))
    end = {"content": "<|endoftext|>", "lstrip": False}
    config = {"bos_token": end, "eos_token": end, "pad_token": None, "add_bos_token": True}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    taken, specials = pretrained(tmp_path)
    _, info = load_tokenizer(save(taken, tmp_path / "b", specials))
    last = theirs.get_vocab_size() - 1
    assert (info.bos_id, info.eos_id, info.pad_id) == (last, last, None)
    assert AutoTokenizer.from_pretrained(tmp_path / "b")("ham")["input_ids"][0] == last


def test_what_cannot_be_had_says_where_to_get_it(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"no tokenizer\.json in this folder"):
        pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer\.json: not a tokenizer"):
        pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        pretrained("/absent/folder/of/mine")

    def no_network(*_, **__):
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", no_network)
    with pytest.raises(ValueError, match=r"could not be fetched .*Name or service.*give a folder"):
        pretrained("somebody/something")


def test_a_unigram_model_with_its_own_pipeline_survives(tmp_path):
    theirs = Tokenizer(
        models.Unigram([("<unk>", 0.0), ("▁ham", -1.0), ("▁", -2.0), ("s", -2.0)], 0)
    )
    theirs.normalizer = normalizers.NFKC()
    theirs.pre_tokenizer = pre_tokenizers.Metaspace()
    theirs.decoder = decoders.Metaspace()
    theirs.add_special_tokens(["<s>"])
    theirs.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"bos_token": "<s>"}))
    taken, specials = pretrained(tmp_path)
    path = save(taken, tmp_path / "b", specials)
    assert load_tokenizer(path)[0].encode("ham hams").tokens == ["<s>", "▁ham", "▁ham", "s"]
    assert AutoTokenizer.from_pretrained(tmp_path / "b")("ham hams")["input_ids"] == [4, 1, 1, 3]
