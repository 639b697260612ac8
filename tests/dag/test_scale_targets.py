"""A study at another scale, as Snakemake is told of it."""

from dataclasses import replace

import pytest
import yaml

SCALES = {
    "one-run": {"runs": {"fast": None}, "probes": {"held-out": None}},
    "long": {"runs": {"slow": {"steps": 400, "checkpoints": {"at": [300]}}}},
}


@pytest.fixture
def scaled(elsewhere, tiny):
    elsewhere.write({**tiny, "scales": SCALES})
    return elsewhere


def test_a_scale_is_chosen_on_the_command_line(scaled):
    dry = scaled.dry_run("runs", "--config", "scale=one-run")
    assert dry.counts["train_0"] == 1
    assert "results/tiny-one-run/runs/slow/" in dry.output
    assert "results/tiny/" not in dry.output
    assert "fast" not in dry.output


def test_a_scale_may_stand_in_the_file(elsewhere, tiny):
    elsewhere.write({**tiny, "scales": SCALES, "scale": "one-run"})
    assert elsewhere.dry_run("runs").counts["train_0"] == 1


def test_other_keys_of_the_command_line_hold_at_a_scale(scaled):
    keys = ("study=other", "runs={slow: {seed: 3, checkpoints: {at: [200]}}}")
    dry = scaled.dry_run("runs", "--printshellcmds", "--config", "scale=long", *keys)
    assert '"seed":3' in dry.output
    slow = "results/other-long/runs/slow/checkpoints"
    assert f"{slow}/step-00000400/" in dry.output  # the end is the scale's
    assert f"{slow}/step-00000200/" in dry.output  # the command line's list, not the scale's
    assert f"{slow}/step-00000300/" not in dry.output
    assert "results/other-long/runs/fast/" in dry.output


def test_a_scale_of_the_default_study_that_is_not_there_is_told(elsewhere):
    done = elsewhere.call("--dry-run", "--config", "scale=small")
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    assert "scale: 'small' is not defined; none is defined" in done.stdout


def test_a_mistake_in_a_scale_is_told_before_any_job(scaled, tiny):
    scales = {"one-run": {"runs": {"fast": None}, "probes": {"grammar": {"pairs_form": "toy"}}}}
    scaled.write({**tiny, "scales": scales})
    done = scaled.call("--dry-run", "--config", "scale=one-run")
    line = "scales.one-run.probes.grammar.pairs_form: unknown key; did you mean 'pairs_from'?"
    assert line in done.stdout
    assert "Job stats" not in done.stdout


def test_a_later_file_holds_at_a_scale_and_its_budget_replaces_the_other(elsewhere, tiny):
    files = {
        "base.yaml": {**tiny, "scales": SCALES},
        "changes.yaml": {"scale": "long", "runs": {"slow": {"tokens": 350 * 256}, "fast": None}},
    }
    for name, content in files.items():
        (elsewhere.folder / name).write_text(yaml.safe_dump(content))
    dry = elsewhere.dry_run("runs", "--configfile", *files)
    assert "results/tiny-long/runs/slow/checkpoints/step-00000350/" in dry.output
    assert "results/tiny-long/runs/slow/checkpoints/step-00000300/" in dry.output
    assert "step-00000400" not in dry.output
    assert "results/tiny-long/runs/fast/" not in dry.output


def test_a_module_is_given_its_study(elsewhere, tiny):
    (elsewhere.folder / "mine.yaml").write_text(yaml.safe_dump({**tiny, "study": "mine"}))
    (elsewhere.folder / "mine.smk").write_text(
        'configfile: "mine.yaml"\n'
        f"module o:\n    snakefile: {str(elsewhere.snakefile)!r}\n    config: config\n"
        "use rule * from o\n"
    )
    output = replace(elsewhere, snakefile=elsewhere.folder / "mine.smk").dry_run("runs").output
    assert "results/mine/runs/slow/" in output
    assert "results/demo/" not in output
