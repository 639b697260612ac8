"""Leases of GPUs: tried with made-up devices, on a machine that has none."""

import multiprocessing
import os

import pytest
import torch

from ontogeny import device
from ontogeny.device import choose_device, lease_gpus

CONTEXT = multiprocessing.get_context("fork")
GPUS = ["0", "GPU-8f1c/2", "2"]


def job(count, folder, leased, end):
    os.environ.pop("SLURM_JOB_ID", None)
    leased.put(lease_gpus(count, GPUS, folder))
    end.wait(60)


@pytest.fixture
def start(tmp_path):
    """Start a job that leases GPUs; returns what it was given, None while it waits, and its end."""
    jobs = []

    def start(count):
        leased, end = CONTEXT.SimpleQueue(), CONTEXT.Event()
        process = CONTEXT.Process(target=job, args=(count, tmp_path / "locks", leased, end))
        process.start()
        jobs.append(process)

        def given(seconds):
            return leased.get() if leased._reader.poll(seconds) else None

        return given, end, process

    yield start
    for process in jobs:
        process.kill()
        process.join()


def test_jobs_lease_distinct_gpus_and_wait_for_one_that_is_free(start):
    first, end, _ = start(1)
    second, _, killed = start(2)
    devices = [*first(20), *second(20)]
    assert sorted(devices) == sorted(GPUS)
    third, _, _ = start(1)
    assert third(1.5) is None
    end.set()
    assert third(20) == devices[:1]
    # one that is killed gives its devices back too
    fourth, _, _ = start(2)
    assert fourth(1.5) is None
    killed.kill()
    assert sorted(fourth(20)) == sorted(devices[1:])


def test_a_job_takes_all_of_its_gpus_or_none(start):
    """Two jobs that each held one of two would wait for ever."""
    jobs = [start(2) for _ in range(3)]
    waiting = list(jobs)
    while waiting:
        served = [each for each in waiting if (given := each[0](0.3)) is not None and len(given)]
        assert len(served) <= 1  # three devices: never two jobs of two at once
        for each in served:
            each[1].set()
            each[2].join(20)
            waiting.remove(each)


def test_jobs_of_slurm_do_not_wait_for_each_other(tmp_path, monkeypatch):
    """Slurm may call the device of each of its jobs 0; within one of its jobs they are leased."""
    monkeypatch.setattr(device, "_held", held := [])
    try:
        for number in ("12", "13"):
            monkeypatch.setenv("SLURM_JOB_ID", number)
            assert lease_gpus(1, ["0", "1"], tmp_path) == ["0"]
        assert lease_gpus(1, ["0", "1"], tmp_path) == ["1"]
    finally:
        for lock in held:
            os.close(lock)


def test_a_job_works_on_the_gpu_that_it_has_leased(tmp_path, monkeypatch):
    """Looking for GPUs starts CUDA, and what is set in CUDA_VISIBLE_DEVICES after that is not seen,
    so a device is the place of its name among those that were visible."""
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(GPUS))
    monkeypatch.setattr(device, "LOCKS", tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    current = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr(device, "_held", held := [])
    try:
        chosen = [choose_device(1) for _ in GPUS]
    finally:
        for lock in held:
            os.close(lock)
    assert chosen == current == [torch.device("cuda", number) for number in range(3)]
    assert choose_device(2, number=1) == torch.device("cuda", 1)  # one of the processes of a job


def test_more_gpus_than_there_are_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"ask for gpu: 4, but 3 are visible"):
        lease_gpus(4, GPUS, tmp_path)
    with pytest.raises(ValueError, match=r"ask for gpu: 1, but 0 are visible"):
        lease_gpus(1, [], tmp_path)
    with pytest.raises(ValueError, match=r"gpu: 1, but no CUDA device is visible; set gpu: 0"):
        choose_device(1)
