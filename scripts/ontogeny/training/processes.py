"""Several processes that share each step: PyTorch's DistributedDataParallel under torchrun.

Each process takes its part of the sequences of a step, in order, and gradients are averaged, so
that a run has the same order and the same result, up to rounding, whatever the number of processes.
"""

import ctypes
import logging
import os
import signal
import sys
from dataclasses import dataclass

import numpy as np
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from ontogeny.device import choose_device, lease_gpus, visible_gpus


@dataclass(frozen=True)
class Processes:
    """How many processes share each step, and which one this is."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def share(self, sequences: np.ndarray) -> np.ndarray:
        """This process' part of the sequences of a step."""
        return np.array_split(sequences, self.count)[self.rank]

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of each value over all processes."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def smallest(self, value: int, device: torch.device) -> int:
        """The smallest of the processes' values."""
        if self.count == 1:
            return value
        shared = torch.tensor(value, device=device)
        distributed.all_reduce(shared, distributed.ReduceOp.MIN)
        return int(shared)

    def wrapped(self, objective: torch.nn.Module) -> torch.nn.Module:
        """The objective, its gradients averaged over the processes."""
        return DistributedDataParallel(objective) if self.count > 1 else objective


def launch(count: int, gpus: int, batch_size: int) -> None:
    """Run this program again as `count` processes under torchrun, and exit as they do.

    Raises ValueError where a step has too few sequences for each process to get one.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if batch_size < count:
        raise ValueError(
            f"a batch of {batch_size} sequences can't be shared by {count} processes; ask for "
            "fewer GPUs or raise batch_size"
        )
    if gpus:  # before any process starts CUDA, which reads this once
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(lease_gpus(gpus, visible_gpus()))
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # workers say more
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=str(os.getpid()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
    )
    try:
        elastic_launch(config, sys.executable)("-u", *sys.argv)
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        sys.exit(code if code > 0 else 128 - code)
    except SignalException as error:
        sys.exit(128 + error.sigval)


def join(gpus: int) -> tuple[Processes, torch.device]:
    """Which of the processes this is, and the device that it works on; alone without torchrun."""
    if "LOCAL_RANK" not in os.environ:
        return Processes(), choose_device(gpus)
    _end_with_parent()
    device = choose_device(gpus, int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        device_id=device if device.type == "cuda" else None,
    )
    return Processes(distributed.get_rank(), distributed.get_world_size()), device


def _end_with_parent() -> None:
    """Ask the system to kill this process when the one that launched it ends, however it does: it
    must not go on beside a job that was started in its place."""
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG in <linux/prctl.h>
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def leave() -> None:
    """Part from the other processes."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
