"""What a folder of results says of itself, and when that is made again."""

import csv
import json

import pytest
import yaml
from result_files import contents

from ontogeny.study import load_study

pytestmark = pytest.mark.workflow

ABOUT = ("README.md", "environment.txt", "study.yaml")


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def about(project):
    return {name: (project.results / name).read_bytes() for name in ABOUT}


def test_the_folder_holds_its_study(finished, tiny):
    read = yaml.safe_load((finished.results / "study.yaml").read_text())
    assert load_study(read) == load_study(tiny)
    text = (finished.results / "README.md").read_text()
    assert text.startswith("# tiny\n") and "2 runs trained on 51,200 tokens" in " ".join(
        text.split()
    )
    assert "torch==" in (finished.results / "environment.txt").read_text()


def test_nothing_tells_the_time_or_the_place(finished, project):
    """The same bytes in another folder, at another time."""
    before = about(finished)
    for content in before.values():
        assert str(finished.folder).encode() not in content
    for name in (*ABOUT, "tables/runs.csv"):
        (project.results / name).unlink()
    project.make("tables")
    assert about(project) == before
    assert contents(project.results / "tables") == contents(finished.results / "tables")


def test_the_study_of_a_folder_can_be_run_again(project):
    """It is the study: nothing is out of date under it."""
    own = project.results / "study.yaml"
    project.study.unlink()
    project.study.symlink_to(own)
    assert project.dry_run().counts == {}
    own.write_text(own.read_text().replace("lr: 0.01", "lr: 0.02") + "# mine\n")
    assert project.dry_run("results/tiny/README.md").counts == {"about": 1}
    project.make("results/tiny/README.md")
    read = yaml.safe_load(own.read_text())
    assert read["runs"]["fast"]["optimizer"] == {"lr": 0.02}
    assert project.dry_run("results/tiny/README.md").counts == {}


@pytest.mark.parametrize("name", ABOUT)
def test_each_file_can_be_asked_for_alone(fresh, tiny, name):
    fresh.write(tiny)
    target = f"results/tiny/{name}"
    assert fresh.dry_run(target).counts == {"about": 1}


def test_the_table_of_runs_asks_for_runs_and_no_scores(fresh, tiny):
    fresh.write(tiny)
    counts = fresh.dry_run("results/tiny/tables/runs.csv").counts
    assert counts == {
        **{"about": 1, "runs_table": 1, "losses": 2, "train_0": 2, "train_1": 2},
        **dict.fromkeys(("corpus", "tokenizer", "architecture", "tokens"), 1),
    }


def test_published_checkpoints_are_fetched_for_the_table_of_runs_once(fresh, tiny):
    lines = [f"s{step},{step},{step * 10},{step:040x},{step:064x}" for step in (1, 2, 3)]
    (fresh.folder / "list.csv").write_text(
        "\n".join(["revision,step,tokens,commit,sha256", *lines, ""])
    )
    run = {"source": "hub", "model": "owner/name", "revisions": "list.csv", "per_segment": 2}
    del tiny["probes"]["held-out"]
    fresh.write({**tiny, "runs": {"theirs": {**run, "tokenizer": "bpe"}}})
    counts = fresh.dry_run("results/tiny/tables/runs.csv").counts
    assert counts == {"about": 1, "runs_table": 1, "fetch_0": 1, "fetch_1": 1}
    counts = fresh.dry_run("tables").counts
    assert (counts["fetch_0"], counts["score_0"], counts["runs_table"]) == (1, 1, 1)


def test_an_edit_of_the_study_is_followed(project, tiny):
    before = about(project)
    tiny["runs"]["fast"]["max_loss"] = 50.0  # changes no step
    tiny["probes"]["binomials"]["frequency_bins"] = 3
    project.write(tiny)
    project.make("results/tiny/README.md")
    after = about(project)
    assert after["README.md"] == before["README.md"]
    assert load_study(yaml.safe_load(after["study.yaml"])) == load_study(tiny)


def test_the_table_of_runs_agrees_with_what_the_runs_left(finished):
    table = {row["run"]: row for row in rows(finished.results / "tables" / "runs.csv")}
    assert list(table) == ["slow", "fast"]
    sizes = json.loads((finished.results / "architectures" / "opt" / "bpe.json").read_text())
    assert sizes["trained"] - sizes["trained_without_positions"] == (64 + 2) * 32
    for name, row in table.items():
        for key in ("parameters", "trained", "trained_without_positions"):
            assert int(row[key]) == sizes[key]
        last = rows(finished.results / "tables" / name / "losses.csv")[-1]
        assert float(row["last_loss"]) == float(last["loss"])
        assert (row["tokens"], row["steps"], row["checkpoints"]) == ("51200", "200", "6")
        segment = finished.results / "runs" / name / "segments" / "0001.manifest.json"
        manifest = json.loads(segment.read_text())
        assert row["version"] == manifest["versions"]["ontogeny"]
        assert row["device"] == manifest["device"]
    assert [float(row["lr"]) for row in table.values()] == [1e-3, 1e-2]
