"""Whatever is edited in a study, and whatever is asked for: all that depends on the edit is made
again, and nothing else; whether Snakemake's own memory of the results is there, has gone, or is not
to be asked."""

import multiprocessing
import os
import shutil
import sys

import pytest

pytestmark = pytest.mark.workflow

R = "results/tiny"
TARGETS = {
    "all": [],
    "scores": ["scores"],
    "loss figure": [f"{R}/figures/fast/loss.png"],
    "loss table": [f"{R}/tables/fast/losses.csv"],
    "correlations": [f"{R}/tables/fast/correlations.csv"],
    "score file": [f"{R}/scores/held-out/fast/step-00000200.csv"],
    "checkpoint": [f"{R}/runs/fast/checkpoints/step-00000200/model.safetensors"],
}
# What each stage is made from; a target asks for some of them.
FROM = {
    "corpus": [],
    "tokenizer": ["corpus"],
    "tokens": ["corpus", "tokenizer"],
    "index": ["tokenizer"],
    "train": ["tokens"],
    "score": ["train", "index", "tokens"],
    "losses": ["train"],
    "exposures": ["tokens"],
    "preferences": ["score"],
    "correlations": ["preferences", "exposures"],
    "plot_loss": ["losses"],
}
ASKED = {
    "all": list(FROM),
    "scores": ["score"],
    "loss figure": ["plot_loss"],
    "loss table": ["losses"],
    "correlations": ["correlations"],
    "score file": ["score"],
    "checkpoint": ["train"],
}


def run(**keys):
    """Edit the run `fast`."""

    def edit(study):
        for key, value in keys.items():
            old = study["runs"]["fast"].get(key)
            study["runs"]["fast"][key] = {**old, **value} if isinstance(old, dict) else value

    return edit


def part(section, name, **keys):
    return lambda study: study[section][name].update(keys)


def schedule(**keys):
    return lambda study: study["runs"]["fast"].update(checkpoints=keys)


NOTHING = set()
# What is edited, and the stages that it is an edit of; what is made from these follows.
EDITS = {
    "seed": (run(seed=5), {"train", "exposures"}),
    "lr": (run(optimizer={"lr": 2e-2}), {"train"}),
    "lr schedule": (run(optimizer={"schedule": "cosine"}), {"train"}),
    "batch": (run(batch_size=4), {"train", "exposures"}),
    "block": (run(block_size=16), {"train", "exposures"}),
    "budget": (
        run(steps=210, checkpoints={"at": [4, 50, 100, 150, 200]}),
        {"train", "exposures"},
    ),
    "sampling": (run(sampling="windows"), {"train", "exposures"}),
    "seed and every_steps": (
        lambda study: (run(seed=5)(study), schedule(every_steps=30, per_segment=3)(study)),
        {"train", "exposures"},
    ),
    "lr and fewer segments": (
        lambda study: (
            run(optimizer={"lr": 2e-2})(study),
            schedule(at=[4, 50, 100, 150], per_segment=6)(study),
        ),
        {"train"},
    ),
    "per_segment": (schedule(at=[4, 50, 100, 150], per_segment=2), {"train"}),
    "corpus": (part("corpora", "toy", words=24_000), {"corpus"}),
    "held out": (part("corpora", "toy", holdout={"share": 0.02}), {"corpus"}),
    "tokenizer": (part("tokenizers", "bpe", vocab_size=390), {"tokenizer"}),
    "architecture": (
        lambda study: study["architectures"]["opt"]["config"].update(ffn_dim=32),
        {"train"},
    ),
    "prompts": (part("probes", "binomials", max_prompts=3), {"index"}),
    "held-out text": (part("probes", "held-out", max_tokens=500), {"score"}),
    "references": (
        lambda study: study["probes"]["binomials"]["references"].update(power={"column": "Power"}),
        {"correlations"},
    ),
    "frequency bins": (part("probes", "binomials", frequency_bins=5), {"correlations"}),
    "weight decay": (run(optimizer={"weight_decay": 0.1}), {"train"}),
    "precision": (run(precision="bf16"), {"train"}),
    "constraints": (part("probes", "binomials", constraints=["Anim"]), {"correlations"}),
    "max_loss": (run(max_loss=99.0), NOTHING),
    "threads": (lambda study: study.update(resources={"train": {"threads": 2}}), NOTHING),
}
STATES = ("records", "no records", "times alone")


def needed(edited, target):
    """The stages that are made again for a target, after an edit of some stages."""

    def is_old(stage):
        return stage in edited or any(map(is_old, FROM[stage]))

    asked, waiting = set(), list(ASKED[target])
    while waiting:
        stage = waiting.pop()
        asked.add(stage)
        waiting += FROM[stage]
    return {stage for stage in asked if is_old(stage)}


def call(argv, folder, output):
    """What a child does: `snakemake` with these arguments."""
    from snakemake.cli import main

    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.chdir(folder)
    sys.argv = ["snakemake", *argv]
    main()


@pytest.fixture(scope="module")
def children():
    """Processes that have imported Snakemake already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["warm_snakemake"])
    return context


@pytest.fixture(scope="module")
def copies(finished, tmp_path_factory):
    """The results of the finished study in other folders, which the project itself works on: with
    Snakemake's records and without."""
    folder = tmp_path_factory.mktemp("edits")
    for state in STATES:
        parts = ["results"] + [".snakemake"] * (state != "no records")
        for part in parts:
            shutil.copytree(finished.folder / part, folder / state / part)
    return {state: type(finished)(folder / state) for state in STATES}


@pytest.fixture
def planned(children, copies, tiny, tmp_path):
    """The stages that a dry run would make after an edit."""

    def planned(edit, target, state):
        workflow = copies[state]
        edit(tiny)
        workflow.write(tiny)
        triggers = ["--rerun-triggers", "mtime"] if state == "times alone" else []
        argv = workflow.command("--dry-run", *TARGETS[target], *triggers)[3:]
        output = tmp_path / "printed"
        process = children.Process(target=call, args=(argv, str(workflow.folder), str(output)))
        process.start()
        process.join(300)
        printed = output.read_text()
        assert process.exitcode == 0, printed
        dry = workflow.dry_run_of(printed)
        stages = {stage.removesuffix("_0").removesuffix("_1") for stage in dry.counts}
        return {stage.removesuffix("_2").removesuffix("_3") for stage in stages}, dry

    return planned


# Every edit with every target, each pair in one state; every edit and every target in all of them.
CASES = [
    (edit, target, STATES[(i + j) % len(STATES)])
    for i, edit in enumerate(EDITS)
    for j, target in enumerate(TARGETS)
]


@pytest.mark.parametrize(("edit", "target", "state"), CASES, ids=map(" - ".join, CASES))
def test_what_depends_on_an_edit_is_made_again(planned, edit, target, state):
    change, edited = EDITS[edit]
    stages, dry = planned(change, target, state)
    assert stages & FROM.keys() == needed(edited, target), dry.output
