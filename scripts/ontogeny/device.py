"""Where a model runs."""

import torch


def choose_device(gpus: int) -> torch.device:
    """The first visible GPU, or the CPU when `gpus` is 0. fp32 is fp32 on both: no TF32.

    Raises ValueError when a GPU is asked for and none is there.
    """
    if gpus == 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ValueError(
            f"resources ask for gpu: {gpus}, but no CUDA device is visible; set gpu: 0 to use the "
            "CPU"
        )
    torch.set_float32_matmul_precision("highest")
    return torch.device("cuda", 0)
