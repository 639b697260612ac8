"""Files of strangers that are not what they should be: each is told in one line that says which
file, and nothing is left behind."""

import json
import re
import stat
import tarfile
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, OPTConfig
from web_server import web_serving

from ontogeny.command import one_line
from ontogeny.corpus.tokenizer import SPECIALS, load_tokenizer, save_tokenizer
from ontogeny.downloads import web as fetching
from ontogeny.downloads.obtain import obtain
from ontogeny.downloads.unpack import unpack
from ontogeny.published.opening import CONFIG, INDEX, WHOLE, load_in_fp32, shaped
from ontogeny.scoring.published import open_model, open_tokenizer
from ontogeny.study.downloads import Download

SHAPE = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
SHAPE |= {"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 16}
WORDS = [*SPECIALS.values(), "dogs", "bark"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files of a tiny model with its tokenizer."""
    folder = tmp_path_factory.mktemp("model")
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    save_tokenizer(tokenizer, folder / "tokenizer.json", folder / "tokenizer_config.json")
    torch.manual_seed(0)
    config = LlamaConfig(**SHAPE, vocab_size=len(WORDS))
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(files, tmp_path):
    """A folder of them, to spoil."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def no_network(monkeypatch):
    """Whatever is asked of a server, or of a package that fetches code, fails the test."""

    def refused(*args, **_):
        pytest.fail(f"something was asked for: {args}")

    monkeypatch.setattr("socket.socket.connect", refused)
    monkeypatch.setattr("transformers.modeling_utils.lazy_import_flash_attention", refused)


def told(call, *args):
    """The one line that tells what is wrong with what `call` reads."""
    with pytest.raises((ValueError, OSError)) as caught:
        call(*args)
    line = one_line(caught.value)
    assert "\n" not in str(caught.value).strip()
    assert len(line) < 1000
    return line


def config_with(**changed):
    def change(folder):
        path = folder / CONFIG
        path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))

    return change


def content(name, text):
    return lambda folder: (folder / name).write_bytes(
        text if isinstance(text, bytes) else text.encode()
    )


def index_of(**files):
    def change(folder):
        (folder / WHOLE).rename(folder.parent / "elsewhere.safetensors")
        named = {tensor.replace("_", "."): file for tensor, file in files.items()}
        (folder / INDEX).write_text(json.dumps({"weight_map": named}))

    return change


def without_weights(folder):
    (folder / WHOLE).rename(folder / "pytorch_model.bin")


def half(name):
    def change(folder):
        path = folder / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return change


def no_tensors(folder):
    save_file({"x": torch.zeros(1)}, folder / WHOLE, metadata={"format": "pt"})


BITS = {"quant_method": "bitsandbytes", "load_in_4bit": True}
OWN = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
MODELS = {
    "no weights": (without_weights, r"has no safetensors \(model.safetensors\); older formats"),
    "half of the weights": (half(WHOLE), "can't be loaded .*SafetensorError"),
    "empty weights": (content(WHOLE, ""), "can't be loaded .*SafetensorError"),
    "weights that are text": (content(WHOLE, "not weights"), "can't be loaded .*SafetensorError"),
    "another model's weights": (no_tensors, "its weights lack tensor 'lm_head.weight'"),
    "empty configuration": (content(CONFIG, ""), "config.json: is no JSON, or was cut short"),
    "half of the configuration": (half(CONFIG), "config.json: is no JSON, or was cut short"),
    "a list as configuration": (content(CONFIG, "[]"), r"config.json is \[\], should be an object"),
    "deep configuration": (content(CONFIG, '{"a":' * 20_000), "config.json has brackets"),
    "latin-1": (content(CONFIG, b'{"a": "\xe9"}'), "config.json: is no JSON"),
    "no type": (content(CONFIG, "{}"), "can't be loaded as a causal language model"),
    "an unknown type": (config_with(model_type="none"), "can't be loaded as a causal language"),
    "a number as type": (config_with(model_type=5), "can't be loaded as a causal language"),
    "code": (config_with(model_type="own", auto_map=OWN), "needs code from its repository to run"),
    "bitsandbytes": (
        config_with(quantization_config=BITS),
        r"its weights are quantized \(bitsandbytes\): config.json has `quantization_config`",
    ),
    "gptq": (
        config_with(quantization_config={"quant_method": "gptq", "bits": 4}),
        r"its weights are quantized \(gptq\)",
    ),
    "nested": (config_with(text_config={"quantization_config": {}}), "its weights are quantized:"),
    "kernel": (
        config_with(attn_implementation="owner/kernel"),
        "config.json has `attn_implementation: owner/kernel`, which can fetch code, and none is",
    ),
    "kernel under another key": (
        config_with(_attn_implementation_internal="owner/kernel@main:f"),
        "has `_attn_implementation_internal: owner/kernel@main:f`",
    ),
    "kernel of a part": (
        config_with(attn_implementation={"": "eager", "text_config": "owner/kernel"}),
        "has `attn_implementation: owner/kernel`",
    ),
    "flash": (
        config_with(attn_implementation="flash_attention_2"),
        "has `attn_implementation: flash_attention_2`",
    ),
    "experts": (config_with(experts_implementation="sonicmoe"), "has `experts_implementation: so"),
    "no heads": (config_with(num_attention_heads=0), "can't be loaded .*ZeroDivisionError"),
    "text as a number": (config_with(num_hidden_layers="1"), "can't be loaded .*num_hidden_layers"),
    "negative": (config_with(vocab_size=-5), "can't be loaded as a causal language model"),
    "other size": (
        config_with(hidden_size=16),
        r"tensor 'lm_head.weight' has shape \(6, 8\), but config.json makes it \(6, 16\)",
    ),
    "more layers": (config_with(num_hidden_layers=2), "its weights lack tensor 'model.layers.1."),
    "weights of another name": (
        config_with(transformers_weights="../elsewhere.safetensors"),
        "config.json has `transformers_weights: ../elsewhere.safetensors`",
    ),
    "shard above": (
        index_of(x="../elsewhere.safetensors"),
        "index.json puts tensor 'x' into ../elsewhere.safetensors, should be a safetensors file",
    ),
    "shard at a path": (index_of(x="/tmp/a.safetensors"), "puts tensor 'x' into /tmp/a.safetens"),
    "shard of a number": (index_of(x=7), "puts tensor 'x' into 7, should be a safetensors file"),
    "shard of another kind": (index_of(x="model.bin"), "puts tensor 'x' into model.bin, should"),
    "no shard": (index_of(x="a.safetensors"), "has no a.safetensors, which its model.safetensors"),
    "no map": (index_of(), "model.safetensors.index.json has no `weight_map`"),
}


@pytest.mark.parametrize(("spoil", "message"), MODELS.values(), ids=MODELS)
def test_a_model_that_can_not_be_opened_is_told(folder, no_network, capfd, spoil, message):
    spoil(folder)
    before = sorted(folder.rglob("*"))
    line = told(open_model, str(folder), None, CPU)
    assert line.startswith(f"{folder}: ")
    assert re.search(message, line), line
    assert line == told(load_in_fp32, folder, str(folder))  # as a fetched one is opened
    assert sorted(folder.rglob("*")) == before
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("name", ["kernel", "no heads", "deep configuration", "bitsandbytes"])
def test_a_checkpoint_whose_shape_can_not_be_made_is_told(folder, no_network, name):
    spoil, message = MODELS[name]
    spoil(folder)
    line = told(shaped, folder, "it")
    assert line.startswith("it: ") and re.search(message, line)


def test_a_model_that_can_be_built_and_not_be_run_is_told(tmp_path):
    shape = {"hidden_size": 8, "ffn_dim": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = OPTConfig(**shape, word_embed_proj_dim=8, vocab_size=9, max_position_embeddings=2)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    line = told(open_model, str(tmp_path), None, CPU)
    assert line.startswith(f"{tmp_path}: can't be run (IndexError: ")


def test_the_model_itself_is_whole(folder, no_network):
    model = open_model(str(folder), None, CPU)
    tokenizer, info = open_tokenizer(str(folder), None, None)
    assert model.config.vocab_size == info.vocab_size == len(WORDS)
    assert tokenizer.encode("dogs bark").tokens == ["<s>", "dogs", "bark"]


# ---------------------------------------------------------------------------- tokenizers

NO_TOKEN = {"type": "TemplateProcessing", "pair": [], "special_tokens": {}}
NO_TOKEN |= {"single": [{"SpecialToken": {"id": "none", "type_id": 0}}]}
TOKENIZERS = {
    "empty": ("tokenizer.json", "", "not a tokenizer"),
    "text": ("tokenizer.json", "a tokenizer", "not a tokenizer"),
    "list": ("tokenizer.json", "[]", "not a tokenizer"),
    "object": ("tokenizer.json", "{}", "not a tokenizer"),
    "number": ("tokenizer.json", "5", "not a tokenizer"),
    "bytes": ("tokenizer.json", b"\xff\xfe\x00", "not a tokenizer"),
    "list of settings": ("tokenizer_config.json", "[]", "is a list, should be an object"),
    "text as settings": ("tokenizer_config.json", '"a"', "is a str, should be an object"),
    "no settings": ("tokenizer_config.json", "null", "is a NoneType, should be an object"),
    "half settings": ("tokenizer_config.json", '{"bos_token": ', "is no JSON, or was cut short"),
    "list of names": ("special_tokens_map.json", "[]", "is a list, should be an object"),
}


@pytest.mark.parametrize(("name", "text", "message"), TOKENIZERS.values(), ids=TOKENIZERS)
def test_a_tokenizer_that_can_not_be_read_is_told(folder, no_network, name, text, message):
    content(name, text)(folder)
    calls = [lambda: open_tokenizer(str(folder), None, None)]
    if name != "special_tokens_map.json":  # which a study's own has not
        calls.append(lambda: load_tokenizer(folder / "tokenizer.json"))
    for call in calls:
        line = told(call)
        assert line.startswith(f"{folder / name}: {message}"), line


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_tokenizer_that_was_cut_is_told(folder, part):
    path = folder / "tokenizer.json"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    line = told(load_tokenizer, path)
    assert line.startswith(f"{path}: not a tokenizer (")


def test_a_tokenizer_without_entries_is_told(folder):
    Tokenizer(models.BPE()).save(str(folder / "tokenizer.json"))
    line = told(load_tokenizer, folder / "tokenizer.json")
    assert line == f"{folder / 'tokenizer.json'}: not a tokenizer (its vocabulary is empty)"


# ---------------------------------------------------------------------------- downloads, archives

LONG = bytes(range(256)) * 40
DOWNLOADS = {
    "longer": ({"bytes": 100}, {"states_length": False}, "sends more than the 100 bytes of the st"),
    "longer, stated": ({"bytes": 100}, {}, "the server has 10,240 bytes, but the study says 100"),
    "shorter": ({"bytes": 20_000}, {"states_length": False}, "has 10,240 bytes, but the study sa"),
    "other": ({"sha256": "0" * 64}, {}, "but the study says 0000"),
    "page": ({}, {"headers": {"Content-Type": "text/html"}}, "answers with a web page, not with"),
    "packed": ({}, {"headers": {"Content-Encoding": "br"}}, "sends it as br, which was not asked"),
    "file": ({}, {"redirect": "file:///etc/hostname"}, "302"),
    "ftp": ({}, {"redirect": "ftp://192.0.2.1/a"}, "leads to an address at 192.0.2.1 that is not"),
    "http": ({}, {"redirect": "http://192.0.2.1/a"}, "address at 192.0.2.1 that is not https"),
    "password": ({}, {"redirect": "https://a:b@192.0.2.1/"}, "that has a user's name or password"),
    "no address": ({}, {"redirect": "https://:80/a"}, "leads to an address at None that can't be"),
}


@pytest.mark.parametrize(("keys", "page", "message"), DOWNLOADS.values(), ids=DOWNLOADS)
def test_a_download_that_is_not_right_is_told(tmp_path, monkeypatch, keys, page, message):
    monkeypatch.setattr(fetching, "PAUSES", ())
    file = tmp_path / "downloads" / "text" / "text.txt"
    with web_serving() as web:
        given = Download(url=web.add("/text.txt", LONG, **page), **keys)
        line = told(obtain, "text", given, file)
    assert line.startswith("download 'text': ") and message in line, line
    assert list(file.parent.iterdir()) == []


def tar_of(path, **members):
    with tarfile.open(path, "w:gz") as archive:
        for name, kind in members.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/hostname"
            archive.addfile(info)


def damaged_tar(path, byte):
    """A tar.gz of which one byte is another, counted from the end."""
    tar_of(path, a=tarfile.SYMTYPE, b=tarfile.SYMTYPE)
    whole = bytearray(path.read_bytes())
    whole[-byte] ^= 0xFF
    path.write_bytes(whole)


def zip_of(path, name, mode=0):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, "content")


ARCHIVES = {
    "empty": ("a.zip", lambda path: path.write_bytes(b"")),
    "text": ("a.zip", lambda path: path.write_text("no archive")),
    "empty tar": ("a.tar.gz", lambda path: path.write_bytes(b"")),
    "text as tar": ("a.tar", lambda path: path.write_text("no archive" * 200)),
    "tar as zip": ("a.zip", lambda path: tar_of(path, a=tarfile.REGTYPE)),
    "checksum": ("a.tar.gz", lambda path: damaged_tar(path, 8)),
    "compressed data": ("a.tar.gz", lambda path: damaged_tar(path, 20)),
    "symbolic link": ("a.tar.gz", lambda path: tar_of(path, a=tarfile.SYMTYPE)),
    "hard link": ("a.tar.gz", lambda path: tar_of(path, a=tarfile.LNKTYPE)),
    "device": ("a.tar.gz", lambda path: tar_of(path, a=tarfile.CHRTYPE)),
    "pipe": ("a.tar.gz", lambda path: tar_of(path, a=tarfile.FIFOTYPE)),
    "folder": ("a.zip", lambda path: zip_of(path, "a/", stat.S_IFDIR)),
    "above": ("a.zip", lambda path: zip_of(path, "../a")),
}


@pytest.mark.parametrize(("name", "make"), ARCHIVES.values(), ids=ARCHIVES)
def test_an_archive_without_the_file_is_told(tmp_path, name, make):
    make(tmp_path / name)
    line = told(unpack, tmp_path / name, "a", tmp_path / "out" / "a")
    assert line.startswith(f"{tmp_path / name}: ")
    assert re.search("damaged|there is no 'a' in it", line), line
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "out") == [name]
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []
