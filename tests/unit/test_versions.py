"""The version of the project, down to the commit, and of the packages: in and out of git."""

import shutil
import subprocess
from importlib.metadata import version

import pytest

import ontogeny
from ontogeny import versions

GIT = shutil.which("git")
needs_git = pytest.mark.skipif(GIT is None, reason="there is no git")
BARE = {"ontogeny": ontogeny.__version__}


def git(folder, *arguments):
    settings = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        [GIT, "-C", str(folder), *settings, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git checkout of one commit in the place of the project."""
    folder = tmp_path / "it's here"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "file.py").write_text("1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    git(folder, "tag", "v9")  # is no commit
    monkeypatch.setattr(versions, "PROJECT", folder)
    return folder


@needs_git
def test_the_commit_and_a_mark_where_a_tracked_file_has_changed(checkout):
    commit = versions.project_versions()["commit"]
    assert git(checkout, "rev-parse", "HEAD").startswith(commit) and len(commit) >= 7
    (checkout / "results").mkdir()
    (checkout / "results" / "made.csv").write_text("1\n")
    assert versions.project_versions() == {**BARE, "commit": commit}
    (checkout / "file.py").write_text("2\n")
    assert versions.project_versions() == {**BARE, "commit": f"{commit}-dirty"}
    assert list(versions.project_versions()) == ["ontogeny", "commit"]


@needs_git
def test_another_repository_is_not_asked(checkout, monkeypatch, tmp_path):
    commit = versions.project_versions()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))  # as in a hook
    assert versions.project_versions() == commit
    below = checkout / "copied" / "project"
    below.mkdir(parents=True)
    monkeypatch.setattr(versions, "PROJECT", below)
    assert versions.project_versions() == BARE


@needs_git
def test_a_checkout_without_a_commit_or_of_someone_else(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q")
    monkeypatch.setattr(versions, "PROJECT", tmp_path)
    assert versions.project_versions() == BARE
    (tmp_path / ".git" / "HEAD").write_text("damaged")
    assert versions.project_versions() == BARE


def test_no_git_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert versions.project_versions() == BARE
    (tmp_path / "git").write_text("no program")
    assert versions.project_versions() == BARE


def test_the_environment_is_what_is_installed(tmp_path, monkeypatch):
    lines = versions.environment().splitlines()
    assert f"# ontogeny {ontogeny.__version__}" in lines
    packages = [line for line in lines if not line.startswith("#")]
    names = [line.partition("==")[0] for line in packages]
    assert names == sorted(names, key=str.lower)
    for name in ("torch", "transformers", "tokenizers", "numpy", "polars", "scipy", "statsmodels"):
        assert f"{name}=={version(name)}" in packages
    required = tmp_path / "requirements.txt"
    required.write_text("# b==1\n-c requirements.lock\nnumpy==0.1\nno-such-package==2\n")
    monkeypatch.setattr(versions, "REQUIREMENTS", required)
    packages = [line for line in versions.environment().splitlines() if not line.startswith("#")]
    assert packages == [f"numpy=={version('numpy')}"]
