"""A Slurm of one node for the tests here, and copies of the project that can do without GPUs."""

import shutil
from pathlib import Path

import pytest
from one_node import OneNode, the_only_one, why_not

from ontogeny.paths import PROJECT


@pytest.fixture(scope="session")
def node(tmp_path_factory):
    if reason := why_not():
        pytest.skip(f"no Slurm here: {reason}")
    with the_only_one() as alone:
        if not alone:
            pytest.skip("no Slurm here: other tests use it at this moment")
        node = OneNode(tmp_path_factory.mktemp("slurm"))
        try:
            node.start()
            yield node
        finally:
            node.stop()


@pytest.fixture
def to_cluster(node):
    """Has a copy of the project ready for the cluster: its GPU jobs tell which GPU they were given,
    and use the CPU."""

    def to_cluster(workflow):
        shutil.copytree(PROJECT / "slurm", workflow.folder / "slurm")
        stand_in = Path(__file__).with_name("device.py")
        shutil.copy2(stand_in, workflow.folder / "scripts" / "ontogeny" / "device.py")
        return workflow

    return to_cluster
