"""Models that were not trained here: a folder, or a repository of the Hub.

Weights are read from safetensors alone, and code that comes with a model is never run.
"""

import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from ontogeny.corpus.tokenizer import (
    TokenizerInfo,
    load_tokenizer,
    save_tokenizer,
    take_pretrained,
)
from ontogeny.progress import say
from ontogeny.published.opening import CONFIG, fetched, load_in_fp32
from ontogeny.study.models import PretrainedTokenizer
from ontogeny.training.model import check_causal, named_weights


def open_model(name: str, revision: str | None, device: torch.device) -> PreTrainedModel:
    """A causal model in fp32, ready to be scored.

    Raises ValueError when it is not there, damaged or not whole, holds NaN, or isn't causal.
    """
    if _is_path(name) and not Path(name, CONFIG).is_file():
        raise ValueError(f"{name}: there is no such folder with a model's {CONFIG}")
    folder = Path(name) if _is_path(name) else fetched(name, revision)
    model, left_over = load_in_fp32(folder, name)
    if left_over:
        say(f"{name}: {len(left_over)} tensors have no place in the model, like {left_over[0]!r}")
    for tensor_name, tensor in named_weights(model).items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name}: tensor {tensor_name!r} holds NaN or infinity")
    try:
        check_causal(model.eval())
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    except Exception as error:  # of many kinds: a shape that can be built, and not be run
        raise ValueError(f"{name}: can't be run ({type(error).__name__}: {error})") from None
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
