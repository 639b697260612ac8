"""Opening a model that somebody else has made: where its files are, its configuration, its weights.

Nothing in it is trusted. Weights are read from safetensors of its own folder alone; no code is run,
and none is fetched, whatever config.json asks for. Of a repository of the Hub only the files that
are needed are fetched, and `transformers` is given their folder: so it asks no server for anything.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

from ontogeny.files import read_json
from ontogeny.origins import off_record
from ontogeny.published.hub import ask, connect

CONFIG = "config.json"
WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"  # which shard holds which tensor
NO_WEIGHTS = f"has no safetensors ({WHOLE}); older formats can run code, so none is read"
# Keys that choose how something is computed. Other values than these fetch code, or need packages
# that are not here.
IMPLEMENTATION = re.compile("_?(attn|experts)_implementation(_internal)?")
IMPLEMENTATIONS = (None, "eager", "sdpa", "grouped_mm", "batched_mm")
LONGEST_REASON = 300  # characters of a library's message


def fetched(repo: str, revision: str | None) -> Path:
    """The folder, in the client's cache, with configuration and weights of a repository of the Hub,
    at the commit that the revision is now.

    Raises ValueError in one line when it can't be had, or has no safetensors.
    """
    api = connect()

    def file(name: str, at: str | None) -> Path | None:
        def call() -> str | None:
            try:
                return hf_hub_download(
                    repo, name, revision=at, token=api.token, endpoint=api.endpoint
                )
            except LocalEntryNotFoundError:  # no answer; offline, what is not in the cache
                if constants.is_offline_mode() and config is not None:
                    return None
                raise
            except EntryNotFoundError:
                return None

        found = ask(api, repo, call)
        return Path(found) if found else None

    config: Path | None = None
    config = file(CONFIG, revision)
    if config is None:
        raise ValueError(f"{repo}: has no {CONFIG}, so it is no model")
    commit = config.parent.name
    if file(WHOLE, commit) is None:
        if file(INDEX, commit) is None:
            where = ", or none in the cache while HF_HUB_OFFLINE is set"
            raise ValueError(f"{repo}: {NO_WEIGHTS}{where if constants.is_offline_mode() else ''}")
        for shard in _shards(config.parent, repo):
            if file(shard, commit) is None:
                raise ValueError(f"{repo}: has no {shard}, which its {INDEX} names")
    return config.parent


def load_in_fp32(folder: Path, what: str) -> tuple[PreTrainedModel, list[str]]:
    """The causal language model of a folder, in fp32 on the CPU (16-bit weights are widened, which
    is exact), and the tensors that have no place in it.

    Raises ValueError in one line that begins with `what` when it is no such model, would need code
    of its own, or when a weight is missing or of another shape: nothing stays random.
    """
    check_config(folder, what)
    if not (folder / WHOLE).is_file():
        if not (folder / INDEX).is_file():
            raise ValueError(f"{what}: {NO_WEIGHTS}")
        for shard in _shards(folder, what):
            if not (folder / shard).is_file():
                raise ValueError(f"{what}: has no {shard}, which its {INDEX} names")
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what matters is checked below
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            folder,
            token=False,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # the report names them; else the error names none
        )
    except Exception as error:  # of many kinds, from the configuration to the tensors
        raise ValueError(f"{what}: {_reason(error)}") from None
    for name, stored, wanted in sorted(report["mismatched_keys"]):
        raise ValueError(
            f"{what}: tensor {name!r} has shape {tuple(stored)}, but {CONFIG} makes it "
            f"{tuple(wanted)}"
        )
    for name in sorted(report["missing_keys"]):
        raise ValueError(f"{what}: its weights lack tensor {name!r}")
    return model, sorted(report["unexpected_keys"])


def shaped(folder: Path, what: str) -> PreTrainedModel:
    """A model with the shape of a folder's config.json and random weights, in fp32 on the CPU.

    Raises ValueError in one line that begins with `what` when there can be none.
    """
    check_config(folder, what)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    except Exception as error:  # of many kinds: each family has its own checks
        raise ValueError(f"{what}: {_reason(error)}") from None


def check_config(folder: Path, what: str) -> None:
    """Raise ValueError for a config.json that can't be read, or asks for what is not done here:
    quantized weights, weights from another file, computing by code from elsewhere."""
    for key, value in _settings(_read_object(folder / CONFIG, what)):
        if value is None:
            continue
        if key in ("quantization_config", "compression_config"):
            kind = value.get("quant_method") if isinstance(value, dict) else None
            named = f" ({kind})" if isinstance(kind, str) else ""
            raise ValueError(
                f"{what}: its weights are quantized{named}: {CONFIG} has `{key}`; take the model "
                "in fp32, fp16 or bf16"
            )
        if key == "transformers_weights" and value not in (WHOLE, INDEX):
            raise ValueError(
                f"{what}: {CONFIG} has `{key}: {_short(value)}`, but weights are read from {WHOLE} "
                "alone; rename that file and remove the key"
            )
        if IMPLEMENTATION.fullmatch(key):
            for choice in value.values() if isinstance(value, dict) else [value]:
                if choice not in IMPLEMENTATIONS:
                    raise ValueError(
                        f"{what}: {CONFIG} has `{key}: {_short(choice)}`, which can fetch code, "
                        "and none is; remove that key"
                    )


def _settings(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """All keys with their values, those of configurations in it too."""
    for key, value in config.items():
        yield key, value
        if isinstance(value, dict):
            yield from _settings(value)


def _shards(folder: Path, what: str) -> list[str]:
    """The files that the index names, each a plain name in the folder itself."""
    named = _read_object(folder / INDEX, what).get("weight_map")
    if not isinstance(named, dict) or not named:
        raise ValueError(f"{what}: {INDEX} has no `weight_map` with the file of each tensor")
    for tensor, shard in named.items():
        plain = isinstance(shard, str) and re.fullmatch(r"[^/\\]+\.safetensors", shard)
        if not plain:
            raise ValueError(
                f"{what}: {INDEX} puts tensor {tensor!r} into {_short(shard)}, should be a "
                "safetensors file of the same folder"
            )
    return sorted(set(named.values()))


def _read_object(path: Path, what: str) -> dict[str, Any]:
    try:
        with off_record():  # `what` stands for the folder, which may be a passing one
            value = read_json(path)
    except RecursionError:
        raise ValueError(f"{what}: {path.name} has brackets that are nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{what}: {str(error).replace(str(path), path.name)}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{what}: {path.name} is {_short(value)}, should be an object " + "{...}")
    return value


def _reason(error: Exception) -> str:
    message = " ".join(str(error).split())
    if "trust_remote_code" in message:
        return "needs code from its repository to run, and none is run"
    if len(message) > LONGEST_REASON:
        message = message[:LONGEST_REASON] + "..."
    return f"can't be loaded as a causal language model ({type(error).__name__}: {message})"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
