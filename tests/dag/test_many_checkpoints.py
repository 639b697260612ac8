"""A study of very many checkpoints has other rules, and the same jobs."""

import re
from collections import Counter

FEW = {"every_steps": 500, "per_segment": 600}
MANY = {"every_steps": 1, "per_segment": 600}  # 1,001 checkpoints in two segments


def planned(workflow, tiny, checkpoints, *targets):
    for run in tiny["runs"].values():
        run.update(steps=1_000, checkpoints=checkpoints)
    workflow.write(tiny)
    return workflow.dry_run("--printshellcmds", *targets)


def commands(dry):
    """What is called for each message, without what the schedule alone changes."""
    found = re.findall(r"^Job \d+: (.*)\nReason: .*\nShell command: (.*)$", dry.output, re.M)
    assert len(found) == sum(dry.counts.values()) - 1  # all but the target
    schedule = re.compile(r'"checkpoints":\{[^}]*\}')
    return {message: schedule.sub("", command) for message, command in found}


def test_runs_with_rules_of_their_own_have_the_same_jobs(elsewhere, tiny):
    shared = planned(elsewhere, tiny, {**FEW, "per_segment": 1})
    own = planned(elsewhere, tiny, MANY)
    for run in ("slow", "fast"):
        assert own.counts[f"train_{run}_0"] == own.counts[f"train_{run}_1"] == 1
        assert own.counts[f"score_{run}_1"] == own.counts[f"preferences_{run}"] == 1
    stages = Counter()
    for rule, count in own.counts.items():
        stages[re.sub(r"_(slow|fast)(?=_|$)", "", rule)] += count
    assert stages == shared.counts
    assert commands(own).keys() == {
        re.sub(r"to step 500$", "to step 600", message) for message in commands(shared)
    }
    for message, command in commands(shared).items():
        assert commands(own)[message.replace("step 500", "step 600")] == command


def test_a_figure_of_one_run_asks_for_that_run(elsewhere, tiny):
    dry = planned(elsewhere, tiny, MANY, "results/tiny/figures/slow/minimal_pairs.png")
    assert dry.counts["train_slow_1"] == dry.counts["score_slow_1"] == 1
    assert "fast" not in dry.output
    assert dry.counts["minimal_pairs_slow"] == 1
