"""The code is formatted, free of lint, and the README shows the command that CI runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
SNAKEFILES = ["Snakefile", "rules"]


@pytest.mark.parametrize(
    "check",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["snakefmt", "--check", *SNAKEFILES],
    ],
    ids=["ruff", "ruff-format", "snakefmt"],
)
def test_the_code_is_in_order(check):
    module, *arguments = check
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_snakemake_finds_no_lint(elsewhere):
    done = elsewhere.call("--lint")
    assert done.returncode == 0, done.stdout


def test_the_readme_shows_the_command_that_ci_runs():
    ci = PROJECT / ".ci" / "run"
    command = ci.read_text().rstrip().splitlines()[-1]
    assert os.access(ci, os.X_OK)
    assert command.endswith(" && pytest -n 3")
    assert command in (PROJECT / "README.md").read_text().splitlines()
