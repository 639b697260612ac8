"""Downloads from the Hub: through its client, at a commit, checked."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import environment_of, serving

from ontogeny.downloads.records import read_record

PROJECT = Path(__file__).resolve().parents[2]
CONTENT = bytes(range(256)) * 400  # 100 KB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "downloads" / "text" / "text.txt"


def left(file):
    """What lies beside a file, hidden or not."""
    return sorted(path.name for path in file.parent.iterdir() if path != file)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A test's Hub, and a way to call the script with it."""
    with serving() as hub:

        def call(spec, file, token=None, code=0, **env):
            script = PROJECT / "scripts" / "download.py"
            args = ["--name", "text", "--spec", json.dumps(spec), "--output", str(file)]
            values = {**os.environ, **environment_of(hub, tmp_path / "home", token), **env}
            done = subprocess.run(
                [sys.executable, script, *args], env=values, capture_output=True, text=True
            )
            assert done.returncode == code, done.stderr
            assert "Traceback" not in done.stderr
            assert not token or token not in done.stdout + done.stderr
            return done.stderr

        yield hub, call


@pytest.mark.parametrize("kind", ["dataset", "model"])
def test_a_file_of_the_hub_arrives_with_its_commit(hub, file, kind):
    server, call = hub
    commit = server.add("owner/name", {"data/text.txt": CONTENT})
    server.add("owner/name", {"data/text.txt": b"the second edition"})
    server.token = "hf_secret"
    spec = {"repo": "owner/name", "repo_type": kind, "revision": commit, "file": "data/text.txt"}
    printed = call(spec, file, token="hf_secret")
    assert file.read_bytes() == CONTENT
    assert f"sha256: {SHA256}" in printed
    record = read_record(file)
    assert record["home"] == spec
    assert record["commit"] == commit
    assert left(file) == ["text.txt.json"]
    assert not list(file.parents[2].rglob("*.incomplete"))


def test_a_branch_of_the_hub_is_recorded_by_its_commit(hub, file):
    server, call = hub
    commit = server.add("owner/name", {"text.txt": CONTENT})
    call({"repo": "owner/name", "file": "text.txt"}, file)
    assert read_record(file)["commit"] == commit
    assert read_record(file)["home"]["revision"] == "main"


def test_what_is_damaged_on_the_way_from_the_hub_is_not_kept(hub, file):
    server, call = hub
    server.add("owner/name", {"text.safetensors": CONTENT})
    server.damage("text.safetensors")
    told = call({"repo": "owner/name", "file": "text.safetensors"}, file, code=1)
    assert "what has arrived was damaged on the way" in told
    assert not file.exists() and left(file) == []


def test_failures_of_the_hub_are_one_line(hub, file):
    server, call = hub
    server.add("owner/name", {"text.txt": CONTENT})
    address = f"{server.url}/datasets/owner/name/resolve/main/test.txt"
    told = call({"repo": "owner/name", "file": "test.txt"}, file, code=1)
    assert f"error: download 'text': {address}: owner/name, 'test.txt' at revision 'main'" in told
    assert "404" in told and f"put it at {file}" in told
    told = call({"repo": "owner/nme", "file": "text.txt"}, file, code=1)
    assert "does not give access" in told
    told = call({"repo": "owner/name", "file": "text.txt", "bytes": 7}, file, code=1)
    assert "the Hub has 102,400 bytes, but the study says 7" in told
    told = call({"repo": "owner/name", "file": "text.txt", "sha256": OTHER}, file, code=1)
    assert f"has the sha256 {SHA256}" in told and OTHER in told
    told = call({"repo": "owner/name", "file": "text.txt"}, file, code=1, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set" in told
    assert not file.exists() and left(file) == []
