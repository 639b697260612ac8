"""Models: new ones from a study's architecture, and checkpoints as `transformers` folders."""

from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from ontogeny.corpus.tokenizer import TokenizerInfo
from ontogeny.files import replacing, write_text
from ontogeny.study.errors import nearest
from ontogeny.study.models import Architecture


def new_model(
    architecture: Architecture, tokenizer: TokenizerInfo, block_size: int, seed: int
) -> PreTrainedModel:
    """A model with the library's own initialisation, drawn from `seed`, in fp32 on the CPU.

    With `biases: false` its biases are zero and have `requires_grad` off.

    Raises ValueError for an unknown model type, a key that its configuration does not have, or
    fewer positions than `block_size`.
    """
    try:
        config = model_config(architecture, tokenizer)
    except StrictDataclassError as error:
        message = " ".join(str(error).split())
        raise ValueError(f"no {architecture.model_type} model can be built: {message}") from None
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and 0 < positions < block_size:
        raise ValueError(
            f"blocks of {block_size} tokens do not fit into the {positions} positions of the "
            f"{architecture.model_type} model; shorten block_size or raise its "
            "max_position_embeddings"
        )
    torch.manual_seed(seed)
    try:
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    except Exception as error:  # of many kinds: each family has its own checks
        message = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(
            f"no {architecture.model_type} model can be built from {architecture.config}: {message}"
        ) from None
    if not architecture.biases:
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.zeros_(parameter).requires_grad_(False)
    return model


def count_parameters(model: PreTrainedModel) -> dict[str, int]:
    """Numbers of a model, a tied matrix once: `parameters`, all of them; `trained`, those that
    training changes; `trained_without_positions`, those but learned embeddings of positions."""
    tokens = model.get_input_embeddings()
    positions = [
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, torch.nn.Embedding) and module is not tokens
    ]
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained": trained,
        "trained_without_positions": trained - sum(positions),
    }


def has_dropout(model: PreTrainedModel) -> bool:
    """Whether something in the model is drawn at random in training."""
    settings = model.config.to_dict().items()
    return any(value for key, value in settings if "drop" in key and isinstance(value, float))


def check_causal(model: PreTrainedModel) -> None:
    """Raise ValueError when a token changes what the model predicts before it.

    Encoders (BERT ...) load as causal models too; all that they learn and score would mean nothing.
    """
    ids = torch.arange(8).remainder(model.config.vocab_size)[None]
    other = ids.clone()
    other[0, -1] = (ids[0, -1] + 1) % model.config.vocab_size
    with torch.inference_mode():
        first, second = (model.eval()(input_ids=x).logits[0, :-1] for x in (ids, other))
    if (first - second).abs().max() > 1e-5 * first.abs().max():  # far above rounding
        raise ValueError(
            f"{model.config.model_type} models look ahead: a later token changes what they predict "
            "before it; choose a causal one (opt, llama, gpt2, gpt_neox ...)"
        )


def model_config(architecture: Architecture, tokenizer: TokenizerInfo) -> AutoConfig:
    """The `transformers` configuration of an architecture, for a tokenizer's vocabulary."""
    kind = architecture.model_type
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        known = nearest(kind, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
        known = known if known.startswith("did") else "choose e.g. opt, llama, gpt2 or gpt_neox"
        raise ValueError(f"model_type {kind!r} is not a causal language model; {known}")
    default = CONFIG_MAPPING[kind]()
    known = set(default.to_dict()) | set(default.attribute_map)
    for key in architecture.config:
        if key not in known:
            raise ValueError(f"{kind} models have no setting {key!r}; {nearest(key, known)}")
    return AutoConfig.for_model(
        kind,
        **{
            **architecture.config,
            "vocab_size": tokenizer.vocab_size,
            "bos_token_id": tokenizer.bos_id,
            "eos_token_id": tokenizer.eos_id,
            "pad_token_id": tokenizer.pad_id,
            "use_cache": False,
        },
    )


def save_checkpoint(model: PreTrainedModel, weights: Path, config: Path) -> None:
    """Write `model.safetensors` and `config.json`, loadable by `from_pretrained`.

    A tied matrix is written once; `transformers` ties it again when it loads. Raises ValueError
    for weights that are not finite.
    """
    tensors = named_weights(model)
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} holds NaN or infinity: training has diverged; lower the lr")
    model.config.architectures = [type(model).__name__]
    model.config.dtype = torch.float32
    write_text(config, model.config.to_json_string(), record=False)
    with replacing(weights, record=False) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})


def read_weights(weights: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint, by name, on the CPU.

    Raises ValueError that names the file when it is missing or damaged, and the first tensor that
    is not finite.
    """
    try:
        with safe_open(weights, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"{weights}: is missing, damaged or cut short ({error}); remove it to make it again"
        ) from None
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{weights}: tensor {name!r} holds NaN or infinity")
    return tensors


def set_weights(model: PreTrainedModel, tensors: dict[str, torch.Tensor], weights: Path) -> None:
    """Copy weights that were read from the file `weights` into a live model of the same shape.

    Raises ValueError that names the file and the first tensor that is missing, left over, or of
    another shape.
    """
    target = named_weights(model)
    if set(tensors) != set(target):
        odd = sorted(set(tensors) ^ set(target))[0]
        where = "is not in the model" if odd in tensors else "is missing"
        raise ValueError(f"{weights}: tensor {odd!r} {where}")
    for name, tensor in target.items():
        if tensors[name].shape != tensor.shape:
            raise ValueError(
                f"{weights}: tensor {name!r} has shape {tuple(tensors[name].shape)}, the model "
                f"{tuple(tensor.shape)}"
            )
        tensor.copy_(tensors[name])


def named_weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Parameters and saved buffers by name, each tensor once, sharing the model's memory."""
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    kept = model.state_dict(keep_vars=True)
    weights.update((name, buffer) for name, buffer in model.named_buffers() if name in kept)
    return weights
