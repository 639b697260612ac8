"""The token of the Hub goes to the Hub alone, whatever a repository of a model holds."""

import json
import os
import subprocess
import sys

import pytest
import torch
from calling import SCRIPT, random_model
from hub_server import environment_of, serving
from tokenizers import Tokenizer, models, pre_tokenizers

from ontogeny.corpus.tokenizer import SPECIALS, save_tokenizer

pytestmark = pytest.mark.workflow

TOKEN = "hf_forTheHubAlone"
WORDS = [*SPECIALS.values(), "dogs", "dog", "bark", "barks"]
# Runs a script where each name that is looked up, and a call of the conversion, is written down.
# A name that is not of this machine has no address.
WATCHED = """
import json, runpy, socket, sys
watch, script, sys.argv = sys.argv[1], sys.argv[2], sys.argv[2:]
sys.path.insert(0, script.rpartition("/")[0])
import transformers.safetensors_conversion as conversion
found = socket.getaddrinfo

def written(*what):
    with open(watch, "a") as file:
        print(json.dumps(what), file=file)

def look_up(host, *args, **kwargs):
    written("host", host)
    if host not in ("127.0.0.1", "localhost"):
        raise socket.gaierror(-2, "Name or service not known")
    return found(host, *args, **kwargs)

socket.getaddrinfo = look_up
conversion.get_conversion_pr_reference = lambda api, model, **_: written("converts", model)
runpy.run_path(script, run_name="__main__")
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A tiny model with its tokenizer, as files, with the weights in both formats."""
    folder = tmp_path_factory.mktemp("model")
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    save_tokenizer(tokenizer, folder / "tokenizer.json", folder / "tokenizer_config.json")
    model = random_model("gpt2", len(WORDS))
    model.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def hub():
    with serving() as hub:
        hub.token = TOKEN
        yield hub


@pytest.fixture
def score(hub, tmp_path):
    """Score a repository with the token set; returns the exit code, what is told, and what was
    looked up or called."""

    def score(*args, **more):
        probe, watch = tmp_path / "pairs.csv", tmp_path / "watch"
        probe.write_text("good,bad\ndogs bark,dogs barks\n")
        watch.write_text("")
        output = tmp_path / "scores.csv"
        output.unlink(missing_ok=True)
        options = ("--probe", probe, "--output", output, "--threads", "1", "--gpu", "0")
        done = subprocess.run(
            [sys.executable, "-c", WATCHED, watch, SCRIPT, *options, *args],
            env={**os.environ, **environment_of(hub, tmp_path / "home", TOKEN), **more},
            capture_output=True,
            text=True,
        )
        assert TOKEN not in done.stdout + done.stderr
        assert output.exists() == (done.returncode == 0)
        seen = [json.loads(line) for line in watch.read_text().splitlines()]
        assert {tuple(what) for what in seen} <= {("host", "127.0.0.1"), ("host", "localhost")}
        return done.returncode, done.stderr

    return score


@pytest.mark.parametrize("revision", [[], ["--revision", "main"]], ids=["none", "main"])
def test_nobody_is_asked_to_convert_a_model(hub, score, files, revision):
    """`transformers` would have another host convert it, and send that host the token."""
    left = {name: it for name, it in files.items() if name != "model.safetensors"}
    hub.add("someone/pickled", left)
    code, told = score("--model", "someone/pickled", *revision)
    assert code == 1
    assert told.startswith("error: someone/pickled: has no safetensors (model.safetensors); older")
    assert told.count("\n") == 1
    assert hub.authorizations - {None} == {f"Bearer {TOKEN}"}
    assert not [kind for kind in hub.asked if "POST" in kind]


def test_a_model_of_the_hub_is_scored_and_again_without_a_network(hub, score, files, tmp_path):
    hub.add("someone/whole", files)
    (tmp_path / "tokenizer").mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "tokenizer" / name).write_bytes(files[name])
    args = ("--model", "someone/whole", "--tokenizer", tmp_path / "tokenizer")
    code, told = score(*args)
    assert code == 0, told
    asked = hub.asked.total()
    code, told = score(*args, HF_HUB_OFFLINE="1")
    assert code == 0, told
    assert hub.asked.total() == asked


def test_a_shard_elsewhere_is_not_fetched(hub, score, files):
    index = {"weight_map": {"transformer.wte.weight": "../../model.safetensors"}}
    name = "model.safetensors.index.json"
    left = {name: it for name, it in files.items() if name != "model.safetensors"}
    hub.add("someone/shards", {**left, name: json.dumps(index).encode()})
    code, told = score("--model", "someone/shards")
    assert code == 1
    place = f"error: someone/shards: {name} puts tensor 'transformer.wte.weight' into "
    assert (
        told == f"{place}../../model.safetensors, should be a safetensors file of the same folder\n"
    )
