"""A Slurm of one node for the tests here, and a copy of the project that can do without GPUs."""

import shutil
from pathlib import Path

import pytest
from one_node import OneNode, why_not


@pytest.fixture(scope="session")
def node(tmp_path_factory):
    if reason := why_not():
        pytest.skip(f"no Slurm here: {reason}")
    node = OneNode(tmp_path_factory.mktemp("slurm"))
    try:
        node.start()
        yield node
    finally:
        node.stop()


@pytest.fixture
def on_cluster(node, elsewhere):
    """A copy of the project whose GPU jobs tell which GPU they were given, and use the CPU."""
    project = Path(elsewhere.snakefile).parent
    for part in ("rules", "scripts", "data", "envs", "slurm"):
        shutil.copytree(project / part, elsewhere.folder / part)
    shutil.copy2(project / "Snakefile", elsewhere.folder)
    device = Path(__file__).with_name("device.py")
    shutil.copy2(device, elsewhere.folder / "scripts" / "ontogeny" / "device.py")
    return type(elsewhere)(elsewhere.folder, elsewhere.folder / "Snakefile")
