"""A study on a real Slurm, through the profile that ships with the project."""

import pytest
from calling_slurm import SLURM, jobs_by_number, turns

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("slurm")]
STAGES = {
    "corpus": {"runtime": 7},
    "train": {"gpu": 1, "mem_mb": 1_500, "runtime": 9},
    "score": {"gpu": 1, "mem_mb": 1_400, "runtime": 8},
}


def test_a_study_goes_through_slurm(to_cluster, fresh, finished, tiny):
    on_cluster = to_cluster(fresh)
    tiny["resources"] = STAGES
    on_cluster.write(tiny)
    (on_cluster.folder / "pair.txt").touch()  # the first job on a GPU waits for a second one
    done = on_cluster.call("scores", *SLURM)
    assert done.returncode == 0, done.stdout

    # the same scores as on one machine, byte for byte
    scores = sorted((finished.results / "scores").rglob("*.csv"))
    assert len(scores) == 2 * 3 * 6
    for file in scores:
        made = on_cluster.results / file.relative_to(finished.results)
        assert made.read_bytes() == file.read_bytes(), file

    # each segment and each shard was a job of its own, with what the study says of its stage
    known = {job["rule"]: job for job in jobs_by_number().values()}
    for run_name in ("slow", "fast"):
        for stage, memory, minutes in (("train", "1500M", "09"), ("score", "1400M", "08")):
            for segment in (0, 1):
                job = known[f"{stage}_{run_name}_{segment}"]
                assert job["JobState"] == "COMPLETED"
                assert job["JobName"].startswith("ontogeny_")
                assert job["MinMemoryNode"] == memory
                assert job["TimeLimit"] == f"00:{minutes}:00"
                assert "gpu=1" in job["TresPerJob"].replace(":", "=")
    assert "gpu" not in known["tokenizer"].get("TresPerJob", "")
    assert known["tokenizer"]["TimeLimit"] == "00:07:00"

    # each had one GPU, two were at work at once, and never on the same one
    at_work, most = {}, 0
    history = turns(on_cluster)
    assert len(history) == 2 * 8
    for what, job, gpu, _ in history:
        if what == "take":
            assert gpu in ("0", "1") and gpu not in at_work.values()
            at_work[job] = gpu
        else:
            del at_work[job]
        most = max(most, len(at_work))
    assert most == 2
    logs = on_cluster.folder / ".snakemake" / "slurm_logs"
    assert list(logs.rglob("*.log")) == []  # kept of jobs that fail


def test_the_profile_and_the_command_line_keep_each_others_resources(to_cluster, fresh, tiny):
    """The partition is the profile's; memory and minutes are the study's, at the scale that
    `--config` asks for."""
    on_cluster = to_cluster(fresh)
    profile = on_cluster.folder / "slurm" / "profile.v9+.yaml"
    line = '  # slurm_partition: "gpu"\n'
    assert line in profile.read_text()
    profile.write_text(profile.read_text().replace(line, "  slurm_partition: other\n"))
    tiny["resources"] = {"corpus": {"runtime": 7, "mem_mb": 1_300}}
    tiny["scales"] = {"small": {"resources": {"corpus": {"runtime": 6}}}}
    on_cluster.write(tiny)
    target = "results/tiny-small/tokenizers/bpe/tokenizer.json"
    done = on_cluster.call(target, *SLURM, "--config", "scale=small")
    assert done.returncode == 0, done.stdout
    assert (on_cluster.folder / target).exists()
    made = [job for job in jobs_by_number().values() if job["WorkDir"] == str(on_cluster.folder)]
    assert {job["rule"] for job in made} == {"corpus", "tokenizer"}
    for job in made:
        assert job["Partition"] == "other"
        assert job["MinMemoryNode"] == "1300M"
        assert job["TimeLimit"] == "00:06:00"
