"""What the tests of the scoring scripts share: fixtures."""

import multiprocessing
from pathlib import Path

import pytest
from calling import HEAVY, SCRIPT, Done, call_in_child, rows, the_error


@pytest.fixture(scope="module")
def processes():
    """Processes that have imported the heavy libraries already, which takes 5 seconds each time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(HEAVY)
    return context


@pytest.fixture
def call(processes, tmp_path):
    """Call a script of the project in a process of its own."""

    def call(script, *args, folder=tmp_path):
        printed = [tmp_path / "printed.out", tmp_path / "printed.err"]
        process = processes.Process(
            target=call_in_child, args=(str(script), [*map(str, args)], str(folder), *printed)
        )
        process.start()
        process.join(600)
        assert process.exitcode is not None, "the script does not end"
        return Done(process.exitcode, *(path.read_text(encoding="utf-8") for path in printed))

    return call


@pytest.fixture
def score(call, tmp_path):
    """Score a model on a file; returns the rows of the CSV and what is printed."""

    def score(model, probe, *args):
        output = tmp_path / "scores" / "out.csv"
        done = call(
            SCRIPT,
            *("--model", model, "--probe", probe, "--output", output, "--threads", 1),
            *args,
        )
        assert done.code == 0, done.errors
        assert [path.name for path in output.parent.iterdir()] == ["out.csv"]
        return rows(output), done

    return score


@pytest.fixture
def complaint(call, tmp_path):
    """Score a model on a file, which must fail with one line and write nothing."""

    def complaint(model, probe, *args):
        output = tmp_path / "scores" / "out.csv"
        done = call(
            SCRIPT,
            *("--model", model, "--probe", probe, "--output", output, "--threads", 1),
            *args,
        )
        assert done.code == 1, done
        assert done.output == ""
        assert not output.parent.exists() or list(output.parent.iterdir()) == []
        return the_error(done)

    return complaint


@pytest.fixture(scope="module")
def tokenizer_folder(finished):
    return finished.results / "tokenizers" / "bpe"


@pytest.fixture(scope="module")
def checkpoint(finished):
    return finished.results / "runs" / "fast" / "checkpoints" / "step-00000200"


@pytest.fixture
def opt(checkpoint, tokenizer_folder, tmp_path):
    """A checkpoint of the study with its tokenizer beside it, to change at will."""
    folder = tmp_path / "opt"
    folder.mkdir()
    for source in (checkpoint, tokenizer_folder):
        for path in filter(Path.is_file, source.iterdir()):
            (folder / path.name).write_bytes(path.read_bytes())
    return folder
