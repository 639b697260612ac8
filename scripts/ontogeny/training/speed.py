"""How fast training is, and how many sequences a device takes at once."""

import torch
from transformers import PreTrainedModel

from ontogeny.progress import say
from ontogeny.training.optimizer import parameters_of

CPU_BATCH_TOKENS = 16_384
GPU_BATCH_TOKENS = 65_536  # the most that is tried: larger parts are no faster

# Dense bf16 TFLOP/s of a whole device, from NVIDIA's data sheets (without sparsity).
PEAK_TFLOPS = {
    "B200": 2250.0,
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100": 989.0,
    "A100": 312.0,
}


def flops_per_token(model: PreTrainedModel, block_size: int) -> float:
    """Floating-point operations of training on one token: 6 N + 12 L H T.

    N parameters, L layers, H their width, T tokens in a block; forward and backward pass, without
    recomputation (Chowdhery et al. 2022, PaLM, appendix B).
    """
    config = model.config
    layers = getattr(config, "num_hidden_layers", 0)
    width = getattr(config, "hidden_size", 0)
    return 6.0 * model.num_parameters() + 12.0 * layers * width * block_size


def peak_flops(device: torch.device) -> float | None:
    """The most bf16 operations a second that a GPU is sold with; None for one not in the list."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((1e12 * tflops for key, tflops in PEAK_TFLOPS.items() if key in name), None)


def find_micro_batch(
    objective: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    sequences: int,
    block_size: int,
    most: int | None = None,
) -> int:
    """The most sequences of `block_size` tokens whose forward and backward pass fit into memory.

    Tries, on the objective's device, the largest part of `sequences` of at most `most`
    (`GPU_BATCH_TOKENS`), then about half of it, and so on; moments that the optimiser has yet to
    make are counted in. Raises ValueError where a single sequence doesn't fit.
    """
    parameters = parameters_of(optimizer)
    _moments = [] if optimizer.state else [torch.empty_like(p) for p in parameters * 2]
    device = parameters[0].device
    objective.train()
    size = even_part(sequences, most or GPU_BATCH_TOKENS // block_size)
    while True:
        try:
            objective(torch.zeros(size, block_size, dtype=torch.int64, device=device)).backward()
            break
        except torch.OutOfMemoryError:
            if size == 1:
                raise ValueError(
                    f"one sequence of {block_size} tokens does not fit into the memory of "
                    f"{device}; shorten block_size, choose a smaller architecture, or train in bf16"
                ) from None
        optimizer.zero_grad(set_to_none=False)  # outside `except`, which holds on to the pass
        size = even_part(sequences, size // 2)
        say(f"not enough memory: trying {size} sequences at once")
    optimizer.zero_grad(set_to_none=False)
    return size


def even_part(sequences: int, most: int) -> int:
    """The size of the largest part when `sequences` are cut into the fewest parts, of nearly equal
    size, of at most `most`."""
    parts = -(-sequences // max(1, min(most, sequences)))
    return -(-sequences // parts)
