"""In the place of `ontogeny.device`, where there are no GPUs: what a job was given, and the CPU.

Each job that asks for GPUs writes a line into gpus.txt of its working directory when it takes them
and one when it ends: `take` or `leave`, the Slurm job, CUDA_VISIBLE_DEVICES, its process.

A test may have training stand still in the middle of its work: `hold.txt` names a file, and the job
stops when this file is there, with the word `hold`. SIGCONT has it go on. And it may have the first
job wait for a second one beside it, as long as there is `pair.txt`; the second one takes it away.
"""

import atexit
import os
import signal
import sys
import threading
import time
from pathlib import Path

import torch

HOLD = Path("hold.txt")
PAIR = Path("pair.txt")
PATIENCE = 300.0  # seconds that the first of a pair waits for the second


def choose_device(gpus: int, number: int | None = None) -> torch.device:
    """The CPU."""
    if gpus:
        _tell("take")
        atexit.register(_tell, "leave")
        _pair()
        if Path(sys.argv[0]).name == "train.py":
            threading.Thread(target=_hold, daemon=True).start()
    return torch.device("cpu")


def _pair() -> None:
    others = [line for line in Path("gpus.txt").read_text().splitlines() if _me() not in line]
    if others:
        PAIR.unlink(missing_ok=True)
    end = time.monotonic() + PATIENCE
    while PAIR.exists() and time.monotonic() < end:
        time.sleep(0.1)


def _hold() -> None:
    while HOLD.exists():
        if Path(HOLD.read_text()).exists():
            _tell("hold")
            os.kill(os.getpid(), signal.SIGSTOP)
            return
        time.sleep(0.002)


def _tell(what: str) -> None:
    with open("gpus.txt", "a") as file:
        file.write(f"{what} {_me()}\n")


def _me() -> str:
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
    return f"{os.environ.get('SLURM_JOB_ID', 'none')} {given} {os.getpid()}"


def lease_gpus(*_: object) -> list[str]:
    """None: nothing here runs on several."""
    return []


def visible_gpus() -> list[str]:
    """None."""
    return []
