"""In the place of `ontogeny.device`, where there are no GPUs: what a job was given, and the CPU.

Each job that asks for GPUs writes a line into gpus.txt of its working directory when it takes them
and one when it ends: `take` or `leave`, the Slurm job, CUDA_VISIBLE_DEVICES.
"""

import atexit
import os
import time

import torch

SECONDS = 1.0  # as long as a job holds its GPU at least


def choose_device(gpus: int, number: int | None = None) -> torch.device:
    """The CPU."""
    if gpus:
        _tell("take")
        atexit.register(_tell, "leave")
        time.sleep(SECONDS)
    return torch.device("cpu")


def _tell(what: str) -> None:
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
    line = f"{what} {os.environ.get('SLURM_JOB_ID', 'none')} {given}\n"
    with open("gpus.txt", "a") as file:
        file.write(line)


def lease_gpus(*_: object) -> list[str]:
    """None: nothing here runs on several."""
    return []


def visible_gpus() -> list[str]:
    """None."""
    return []
