# What is out of date, by the records that lie beside results (scripts/ontogeny/origins.py).
#
# Snakemake remembers in .snakemake/ what each file was made from. Copied results have no such memory,
# and of a job with one new output it is not asked. So it decides by times alone here, and before it
# does, each job whose command is not that on record, or one of whose files from outside has other
# content, is told to run.

from snakemake.dag import DAG
from snakemake.settings.types import RerunTrigger

CONTENT_OF = {WORDS: spelled}


def recorded_output(job):
    """The output whose record is that of the job: weights and score files have none."""
    named = dict(job.output.items())
    return str(named.get("records") or named.get("manifest") or job.output[0])


def out_of_date(dag):
    """The jobs that are, each with what has changed."""
    dag.update_jobids()  # a command can't be told without
    for job in dag.jobs:
        if not job.output or not job.rule.shellcmd:
            continue
        if Path(file := recorded_output(job)).exists():
            read = [str(path) for path in job.input if path.is_ancient and not is_made(path)]
            if reason := change(file, job.shellcmd, read, CONTENT_OF):
                yield job, f"{file}: {reason}"
        elif made := next((path for path in map(str, job.output) if Path(path).exists()), None):
            yield job, f"{made}: there is no {file}, which tells what it was made from"


def is_made(path):
    """Whether a file is one of the results, not one from outside."""
    return str(path).startswith(f"{P.root}/")


def telling(update_needrun):
    """Snakemake's choice of the jobs that must run, told before of those that are out of date."""

    async def update(dag, *args, **kwargs):
        dag.workflow.dag_settings.rerun_triggers = frozenset({RerunTrigger.MTIME})
        if not hasattr(dag, "out_of_date"):
            dag.out_of_date = dict(out_of_date(dag))
            for job in dag.out_of_date:
                dag.forcefiles.update(job.output)
                # Behind an `ancient` file that is made again, too, a job would be overlooked.
                for file in job.input:
                    if file.is_ancient and is_made(file):
                        file.flags["ancient"] = False
            if dag.out_of_date:
                note(sorted(dag.out_of_date.values()))
        await update_needrun(dag, *args, **kwargs)
        for job in dag.jobs:
            dag.reason(job).no_metadata = False  # is not missed

    update.of_snakemake = update_needrun
    return update


if workflow.is_main_process:
    DAG.update_needrun = telling(getattr(DAG.update_needrun, "of_snakemake", DAG.update_needrun))
