"""Models that were not trained here: a folder, or a repository of the Hub.

Weights are read from safetensors alone, and code that comes with a model is never run.
"""

import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

from ontogeny.corpus.tokenizer import (
    TokenizerInfo,
    load_tokenizer,
    save_tokenizer,
    take_pretrained,
)
from ontogeny.progress import say
from ontogeny.published.token import hub_token
from ontogeny.study.models import PretrainedTokenizer
from ontogeny.training.model import check_causal, named_weights


def open_model(name: str, revision: str | None, device: torch.device) -> PreTrainedModel:
    """A causal model in fp32, ready to be scored.

    Raises ValueError when it is not there, damaged or not whole, holds NaN, or isn't causal.
    """
    if _is_path(name) and not Path(name, "config.json").is_file():
        raise ValueError(f"{name}: there is no such folder with a model's config.json")
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what matters is checked below
    token = False if Path(name).is_dir() else hub_token()
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            name,
            revision=revision,
            token=token,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError, KeyError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        where = "" if Path(name).is_dir() else " here or on the Hub"
        raise ValueError(f"{name}: no causal model with safetensors{where} ({first})") from None
    odd = sorted(report["missing_keys"]) + sorted(map(str, report["mismatched_keys"]))
    if odd:
        raise ValueError(f"{name}: its weights lack tensor {odd[0]!r}, or have it in another shape")
    if left_over := sorted(report["unexpected_keys"]):
        say(f"{name}: {len(left_over)} tensors have no place in the model, like {left_over[0]!r}")
    for tensor_name, tensor in named_weights(model).items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name}: tensor {tensor_name!r} holds NaN or infinity")
    model = model.eval()
    check_causal(model)
    return model.to(device)


def open_tokenizer(
    name: str, revision: str | None, bos: bool | None
) -> tuple[Tokenizer, TokenizerInfo]:
    """A model's tokenizer, with its BOS before each text, or without.

    `bos` None: as it is made to; where it isn't, with its BOS if it has one. Raises ValueError
    when it can't be had.
    """
    if Path(name).name == "tokenizer.json" and Path(name).is_file():
        name = str(Path(name).parent)
    if _is_path(name) and not Path(name).is_dir():
        raise ValueError(f"{name}: there is no such folder")
    if _is_path(name) and not Path(name, "tokenizer.json").is_file():
        raise ValueError(
            f"{name}: there is no tokenizer.json; name the tokenizer with --tokenizer (that of a "
            "run of a study is in results/STUDY/tokenizers/)"
        )
    spec = PretrainedTokenizer(
        type="pretrained", path=name, revision=revision, bos=bos is not False
    )
    taken = take_pretrained(spec, own_bos=bos is None)
    with tempfile.TemporaryDirectory() as folder:  # what a study would read back
        path = Path(folder, "tokenizer.json")
        save_tokenizer(taken[0], path, Path(folder, "tokenizer_config.json"), taken[1])
        return load_tokenizer(path)


def _is_path(name: str) -> bool:
    """Whether a name is a path rather than `owner/name` of the Hub."""
    return Path(name).exists() or name.count("/") > 1 or name.startswith((".", "/", "~"))
