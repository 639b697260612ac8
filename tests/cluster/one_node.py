"""A Slurm of one node on this machine, with two GPUs that are none: what a test starts and ends.

Real daemons (slurmctld, slurmd, munged) on loopback, without systemd, accounting or cgroups. Slurm
tells a job its GPUs only where each has a device file that ends in a number, so two copies of
/dev/null stand for them. The configuration must be /etc/slurm/slurm.conf: steps that jobs start do
not see SLURM_CONF.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

CONFIGURATION = Path("/etc/slurm/slurm.conf")
GPU_LIST = CONFIGURATION.with_name("gres.conf")
NAME = "ontogeny-tests"
LOCK = Path("/run/ontogeny-tests.lock")
GPUS = 2
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "munged")

SLURM_CONF = """\
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/node
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdTimeout=10
KillWait=2
OverTimeLimit=0
MinJobAge=3600
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=other Nodes=ALL MaxTime=INFINITE State=UP
"""
GRES_CONF = """\
AutoDetect=off
NodeName={host} Name=gpu File={folder}/gpu[0-{last}]
"""


def why_not() -> str | None:
    """Why there can be no such Slurm here; None if there can."""
    if os.getuid() != 0:
        return "Slurm's daemons are started as root"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"no {missing[0]} (on Debian: apt-get install slurmctld slurmd slurm-client munge)"
    if CONFIGURATION.exists() and f"ClusterName={NAME}\n" not in CONFIGURATION.read_text():
        return f"{CONFIGURATION} is of another cluster"
    return None


def run(*command: str | Path) -> str:
    """What a command prints; its errors are an assertion's."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def wait_for(what: str, is_so: Callable[[], bool], seconds: float = 300) -> None:
    """Until `is_so()`; `what` is what an assertion then says."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"{what}: not in {seconds} s"
        time.sleep(0.2)


def _pid(folder: Path, daemon: str) -> int | None:
    """The number of a daemon's process, if it runs."""
    file = folder / f"{daemon}.pid"
    if not file.exists():
        return None
    pid = int(file.read_text())
    name = Path(f"/proc/{pid}/comm")
    return pid if name.exists() and name.read_text().strip() == daemon else None


@contextlib.contextmanager
def the_only_one():
    """Hold the lock of this machine's one Slurm; gives whether nobody else has it."""
    with open(LOCK, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


class OneNode:
    """The cluster; its files are in `folder`."""

    def __init__(self, folder: Path):
        self.folder, self.host = folder, socket.gethostname().split(".")[0]
        self.has_munged = False

    def start(self) -> None:
        """Write the configuration, start the daemons, wait until the node takes jobs."""
        if CONFIGURATION.exists():  # of tests that were killed: others at work would hold LOCK
            for daemon in ("slurmd", "slurmctld"):
                subprocess.run(["pkill", "-KILL", "-x", daemon])
        for name in ("controller", "node"):
            (self.folder / name).mkdir(parents=True)
        for number in range(GPUS):
            run("mknod", "-m", "666", self.folder / f"gpu{number}", "c", "1", "3")
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        facts = {
            "name": NAME,
            "host": self.host,
            "folder": self.folder,
            "cpus": os.cpu_count(),
            "memory": pages * size // 2**20 - 1024,
            "gpus": GPUS,
            "last": GPUS - 1,
        }
        CONFIGURATION.parent.mkdir(exist_ok=True)
        CONFIGURATION.write_text(SLURM_CONF.format(**facts))
        GPU_LIST.write_text(GRES_CONF.format(**facts))
        self._start_munge()
        run("slurmctld")
        self.start_node()

    def start_node(self) -> None:
        """Start the node's daemon, and wait until it takes jobs."""
        run("slurmd", "-N", self.host)
        wait_for("the node is up", self.takes_jobs)

    def crash(self) -> None:
        """End the node's daemon and all that runs under it at once, as a machine that goes down."""
        number = _pid(self.folder, "slurmd")
        assert number is not None, "slurmd does not run"
        every = [psutil.Process(number)]
        named = psutil.process_iter(["name"])
        every += [each for each in named if each.info["name"] == "slurmstepd"]
        for each in tuple(every):
            with contextlib.suppress(psutil.NoSuchProcess):
                every += each.children(recursive=True)
        for process in every:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(every, timeout=30)

    def takes_jobs(self) -> bool:
        """Whether the node is up."""
        sinfo = ["sinfo", "-h", "-p", "main", "-o", "%T"]
        done = subprocess.run(sinfo, capture_output=True, text=True)
        return done.stdout.strip() in ("idle", "mixed", "allocated")

    def stop(self) -> None:
        """End all jobs and daemons, and take the configuration away: without a controller it would
        delay every call of Snakemake."""
        subprocess.run(["scancel", "--user", "root"], capture_output=True, timeout=60)
        for daemon in ("slurmd", "slurmctld"):
            if pid := _pid(self.folder, daemon):
                os.kill(pid, signal.SIGTERM)
                wait_for(f"{daemon} ends", lambda pid=pid: not Path(f"/proc/{pid}").exists())
        if self.has_munged:
            subprocess.run(["pkill", "-x", "munged"])
        for file in (CONFIGURATION, GPU_LIST):
            file.unlink(missing_ok=True)

    def _start_munge(self) -> None:
        """What tells Slurm's daemons from others; one that runs already will do."""
        if subprocess.run(["munge", "-n"], capture_output=True).returncode == 0:
            return
        key = Path("/etc/munge/munge.key")
        if not key.exists():
            key.write_bytes(os.urandom(1024))
            shutil.chown(key, "munge", "munge")
            key.chmod(0o400)
        runtime = Path("/run/munge")
        runtime.mkdir(exist_ok=True)
        shutil.chown(runtime, "munge", "munge")
        run("runuser", "-u", "munge", "--", shutil.which("munged"))
        self.has_munged = True
