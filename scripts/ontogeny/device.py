"""Where a model runs, and whose turn it is on a GPU."""

import fcntl
import os
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from ontogeny.progress import say

LOCKS = Path(tempfile.gettempdir(), f"ontogeny-gpus-{os.getuid()}")
_held: list[int] = []  # locked files; the system frees them when this process ends, however it does


def choose_device(gpus: int, number: int | None = None) -> torch.device:
    """The first of the `gpus` that this job leases, or the CPU when `gpus` is 0.

    A process that was told its `number` among those of a job takes that GPU; the job has leased it.
    fp32 is fp32 on both: no TF32. Raises ValueError when more GPUs are asked for than there are.
    """
    if gpus == 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ValueError(
            f"resources ask for gpu: {gpus}, but no CUDA device is visible; set gpu: 0 to use the "
            "CPU"
        )
    if number is None:
        visible = visible_gpus()
        number = visible.index(lease_gpus(gpus, visible)[0])
    torch.set_float32_matmul_precision("highest")
    device = torch.device("cuda", number)
    torch.cuda.set_device(device)  # also for what names no device
    return device


def lease_gpus(count: int, visible: Sequence[str], folder: Path | None = None) -> list[str]:
    """Take `count` of the `visible` GPUs for as long as this process lives; returns their names.

    Snakemake runs several GPU jobs on one machine and tells none of them which GPU to use, so each
    locks a file per device and waits until enough are free. Each Slurm job has locks of its own:
    what two of them call 0 may be two devices. Raises ValueError where fewer than `count` are
    visible.
    """
    if len(visible) < count:
        raise ValueError(
            f"resources ask for gpu: {count}, but {len(visible)} are visible; lower gpu, or look "
            "at CUDA_VISIBLE_DEVICES"
        )
    folder = (folder or LOCKS) / os.environ.get("SLURM_JOB_ID", "")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = False
    while True:
        leased = _lock_free(count, visible, folder)
        if len(leased) == count:
            break
        for lock in leased.values():  # all or none: two jobs with half of the GPUs never end
            os.close(lock)
        if not told:
            say(f"waiting for {count} of the GPUs {', '.join(visible)}")
            told = True
        time.sleep(random.uniform(0.2, 1.0))
    _held.extend(leased.values())
    return list(leased)


def _lock_free(count: int, visible: Sequence[str], folder: Path) -> dict[str, int]:
    """Locks of up to `count` devices that nobody else holds."""
    locks = {}
    for name in visible:
        if len(locks) == count:
            break
        lock = os.open(folder / name.replace("/", "_"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locks[name] = lock
        except BlockingIOError:
            os.close(lock)
    return locks


def visible_gpus() -> list[str]:
    """The devices that this process may choose from, in CUDA's order: those of
    CUDA_VISIBLE_DEVICES, or all."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    return [str(number) for number in range(torch.cuda.device_count())]
