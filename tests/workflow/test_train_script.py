"""scripts/train.py by itself: what it leaves behind when it is stopped, and several processes."""

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from calling import PROJECT, call_in_child, rows
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from ontogeny.paths import Paths
from ontogeny.study import runs as study
from ontogeny.versions import project_versions

pytestmark = pytest.mark.workflow

TRAIN = PROJECT / "scripts" / "train.py"
OPT = {"hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
OPT |= {"max_position_embeddings": 64, "dropout": 0.0}
PATIENCE = 600  # seconds until a file must be there


class Run:
    """A run in a folder of its own, on the tiny study's tokens."""

    def __init__(self, results, folder, processes, **keys):
        self.results, self.processes = results, processes
        self.end = None  # the last step of a segment that goes on beyond its own
        self.paths = Paths(str(folder))
        names = dict.fromkeys(("corpus", "tokenizer", "architecture"), "any")
        run = {**names, "steps": 20, "block_size": 32, "batch_size": 8, "optimizer": {"lr": 0.01}}
        run |= {"checkpoints": {"at": [5, 10, 15], "per_segment": 2}, **keys}
        self.spec = {"run": run, "architecture": {"model_type": "opt", "config": OPT}}

    def arguments(self, segment, *more):
        tokens = self.results / "tokens" / "toy" / "bpe"
        state = ["--state", self.paths.state("run", segment - 1)] if segment else []
        run = study.Run.model_validate(self.spec["run"])
        part = run.segments()[segment]
        end = self.end or part.end
        kept = map(str, [*part.checkpoints[:-1], end])
        limit = ["--max-loss", str(run.max_loss)] if run.max_loss else []
        return [
            *("--name", "run", "--spec", json.dumps(self.spec), "--segment", str(segment)),
            *("--begin", str(part.start), "--end", str(end), "--checkpoints", *kept, *limit),
            *("--tokens", str(tokens / "train.bin"), "--meta", str(tokens / "meta.json")),
            *("--documents", str(tokens / "train.documents.npy")),
            *("--tokenizer", str(self.results / "tokenizers" / "bpe" / "tokenizer.json")),
            *("--study-folder", self.paths.root, *state, *map(str, more)),
        ]

    def start(self, segment, *more, limit=None):
        """Start a segment; files can't grow beyond `limit` bytes."""
        output = Path(self.paths.root).with_suffix(".out")
        process = self.processes.Process(
            target=limited,
            args=(limit, str(TRAIN), self.arguments(segment, *more), "/", output, self.errors),
        )
        process.start()
        return process

    def train(self, segment, *more, limit=None):
        """Train a segment; returns the exit code."""
        process = self.start(segment, *more, limit=limit)
        process.join(PATIENCE)
        return process.exitcode

    @property
    def errors(self):
        return Path(self.paths.root).with_suffix(".err")

    def last_line(self):
        return self.errors.read_text().splitlines()[-1]

    def files(self):
        """Every file that the run has left, hidden ones too, and what is in it."""
        found = (path for path in Path(self.paths.root).rglob("*") if path.is_file())
        return {str(path.relative_to(self.paths.root)): path.read_bytes() for path in found}

    def losses(self, segment):
        path = self.paths.segment("run", segment, "losses.csv")
        return np.array([float(row["loss"]) for row in rows(path)])

    def logits(self, step):
        folder = Path(self.paths.checkpoint("run", step, "config.json")).parent
        model = AutoModelForCausalLM.from_pretrained(folder).eval()
        with torch.inference_mode():
            return model(torch.arange(60)[None]).logits


def limited(limit, *call):
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    call_in_child(*call)


@pytest.fixture
def make_run(finished, processes, tmp_path):
    made = []

    def make_run(**keys):
        made.append(Run(finished.results, tmp_path / f"run-{len(made)}", processes, **keys))
        return made[-1]

    return make_run


def wait_for(path, process):
    deadline = time.monotonic() + PATIENCE
    while not Path(path).exists() and time.monotonic() < deadline and process_runs(process):
        time.sleep(0.01)
    assert Path(path).exists()


def process_runs(process):
    return process.poll() is None if isinstance(process, subprocess.Popen) else process.is_alive()


def test_sigterm_ends_a_segment_and_leaves_the_state_before_it(make_run):
    undisturbed, stopped = make_run(), make_run(steps=20)
    for segment in (0, 1):
        assert undisturbed.train(segment) == 0
    assert stopped.train(0) == 0
    before = stopped.files()
    endless = make_run()
    endless.end, endless.paths = 10**6, stopped.paths
    process = endless.start(1)
    wait_for(endless.paths.checkpoint("run", 15, "model.safetensors"), process)
    os.kill(process.pid, signal.SIGTERM)
    process.join(PATIENCE)
    assert process.exitcode == 128 + signal.SIGTERM
    assert stopped.last_line() == "stopped (SIGTERM); what was finished is kept"
    after = stopped.files()
    assert {name: after[name] for name in before} == before
    names = ("model.safetensors", "config.json")
    assert set(after) - set(before) == {f"runs/run/checkpoints/step-00000015/{n}" for n in names}
    assert stopped.train(1) == 0
    for name, content in undisturbed.files().items():
        if name.endswith((".safetensors", "config.json")):
            assert stopped.files()[name] == content, name


@pytest.mark.parametrize("what", ["state", "checkpoint"])
def test_a_full_disk_leaves_the_last_state_whole(make_run, what):
    run = make_run()
    assert run.train(0) == 0
    before = run.files()
    weights = len(before["runs/run/checkpoints/step-00000000/model.safetensors"])
    state = len(before["runs/run/state/0000.safetensors"])
    limit = {"state": (weights + state) // 2, "checkpoint": weights // 2}[what]
    assert run.train(1, limit=limit) == 1
    path = {
        "state": run.paths.state("run", 1),
        "checkpoint": run.paths.checkpoint("run", 15, "model.safetensors"),
    }[what]
    assert run.last_line() == f"error: {path}: File too large"
    after = run.files()
    assert {name: after[name] for name in before} == before
    assert not [name for name in after if name.endswith(".tmp")]
    assert "runs/run/state/0001.safetensors" not in after
    assert run.train(1) == 0


def test_a_diverging_run_names_its_step_and_saves_nothing_more(make_run):
    run = make_run(optimizer={"lr": 1e4, "warmup_share": 0.0})
    assert run.train(0) == 1
    assert run.last_line().startswith("error: step 2 (512 tokens): loss ")
    assert run.last_line().endswith(" up to step 0 is kept")
    assert "is above 11.98 (max_loss of the run) at learning rate 9.5e+03;" in run.last_line()
    assert set(run.files()) == {
        f"runs/run/checkpoints/step-00000000/{name}"
        for name in ("model.safetensors", "config.json")
    }


@pytest.mark.parametrize(
    ("batch_size", "more"),
    [(8, []), (5, ["--batch-tokens", 32])],
    ids=["equal shares", "unequal shares, sequence by sequence"],
)
def test_two_processes_give_the_result_of_one(make_run, batch_size, more):
    """The same sequences in the same order, through torchrun; Adam makes more of rounding than a
    step of plain descent would, so losses may differ by 1e-4 of them and logits by 1e-3."""
    one, two = (make_run(batch_size=batch_size) for _ in range(2))
    for segment in (0, 1):
        assert one.train(segment) == 0
        assert two.train(segment, "--processes", 2, *more) == 0, two.errors.read_text()
        assert np.allclose(one.losses(segment), two.losses(segment), rtol=1e-4, atol=0)
    assert one.losses(1)[-1] < one.losses(0)[0] - 0.5  # there was something to agree on
    assert torch.equal(one.logits(0), two.logits(0))
    for step in (10, 20):
        assert torch.allclose(one.logits(step), two.logits(step), rtol=0, atol=1e-3)
    manifest = json.loads(Path(two.paths.segment("run", 1, "manifest.json")).read_text())
    assert manifest["processes"] == 2
    assert set(two.files()) == set(one.files())


def test_each_process_needs_a_sequence(make_run):
    run = make_run(batch_size=1)
    assert run.train(0, "--processes", 2) == 1
    assert run.errors.read_text() == (
        "error: a batch of 1 sequences can't be shared by 2 processes; ask for fewer GPUs or raise "
        "batch_size\n"
    )
    assert run.files() == {}


def test_what_stops_all_processes_is_said_once(make_run):
    run = make_run(max_loss=1e-9)
    assert run.train(0, "--processes", 2) == 1
    first, last = run.errors.read_text().splitlines()
    assert first.endswith("on cpu, 2 processes")
    assert last.startswith("error: step 1 (256 tokens): loss 5.99 ")
    assert "is above 1e-09 (max_loss of the run)" in last


def alive(folder):
    """Processes that have a folder's name in their command."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if folder.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_one_that_was_started(make_run, number):
    run = make_run(steps=10**6)
    command = [sys.executable, str(TRAIN), *run.arguments(0, "--processes", 2)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with open(run.errors, "w") as errors:
        process = subprocess.Popen(command, stderr=errors, env=environment, start_new_session=True)
    wait_for(run.paths.checkpoint("run", 5, "config.json"), process)
    process.send_signal(number)
    code = process.wait(PATIENCE)
    deadline = time.monotonic() + 60
    while (left := alive(run.paths.root)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for worker in left:
        os.kill(worker, signal.SIGKILL)
    assert not left
    assert code == (128 + number if number == signal.SIGTERM else -number), run.errors.read_text()
    assert "Traceback" not in run.errors.read_text()
    if number == signal.SIGTERM:
        assert not [name for name in run.files() if name.endswith(".tmp")]


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_model_learns_the_same_and_is_compiled_once(make_run):
    plain, compiled = (make_run(steps=6, checkpoints={"at": [3], "per_segment": 1}) for _ in "ab")
    made = Path(compiled.paths.compiled())
    kernels = []
    for segment in (0, 1):
        assert plain.train(segment) == 0
        assert compiled.train(segment, "--compile", "yes") == 0, compiled.errors.read_text()
        assert np.allclose(plain.losses(segment), compiled.losses(segment), rtol=1e-5, atol=0)
        kernels.append({path for path in made.rglob("*.so") if path.is_file()})
    assert kernels[0]
    assert kernels[1] == kernels[0]
    assert torch.allclose(plain.logits(6), compiled.logits(6), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("segment", "more", "message"),
    [
        (0, ["--compile", "yes"], "the model can't be compiled (InvalidCxxCompiler"),
        (
            0,
            ["--checkpoints", 7, 5],
            "--checkpoints: [7, 5], should be steps from 0 to 10, in order",
        ),
    ],
)
def test_what_can_not_be_trained_is_one_line(make_run, monkeypatch, segment, more, message):
    monkeypatch.setenv("CXX", "/nowhere/g++")
    command = [sys.executable, str(TRAIN), *make_run().arguments(segment, *more)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: {message}")
    assert "Traceback" not in done.stderr


def test_a_later_segment_needs_a_state(make_run):
    run = make_run()
    given = run.arguments(1)
    place = given.index("--state")
    run.arguments = lambda segment: given[:place] + given[place + 2 :]
    assert run.train(1) == 1
    assert run.last_line() == "error: segment 1 begins from a state; name it with --state"


def test_the_state_keeps_the_micro_batch_and_the_hash(make_run):
    run = make_run()
    assert run.train(0, "--batch-tokens", 64) == 0
    manifest = json.loads(Path(run.paths.segment("run", 0, "manifest.json")).read_text())
    with safe_open(run.paths.state("run", 0), framework="pt") as file:
        info = json.loads(file.metadata()["info"])
    last = manifest["checkpoints"][-1]
    expected = {"step": 10, "checkpoint_sha256": last["sha256"], "micro_batch": 2}
    assert info == expected | {"spec": manifest["spec"]}
    assert manifest["spec"]["run"]["optimizer"] == {"lr": 0.01}
    assert last["step"] == 10
    assert manifest["micro_batch"] == 2
    assert manifest["mfu"] is None  # a CPU has no stated peak
    assert manifest["versions"].get("commit") == project_versions().get("commit")
