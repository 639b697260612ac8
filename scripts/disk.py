"""How much room the results of a study take, run by run, and what can be removed.

Nothing is removed here. With --removable only the paths of what can go are printed, one a line:

    python scripts/disk.py studies/own_text.yaml --removable scored | xargs -r -d '\\n' rm

Before that the study's jobs should have ended, and `snakemake -n scores` should have nothing to do:
what changed in the study since is not seen here.
"""

import argparse
from pathlib import Path

from ontogeny.command import run
from ontogeny.disk import (
    Files,
    RunFiles,
    all_files,
    leftovers,
    run_files,
    unknown_runs,
    unknown_scores,
)
from ontogeny.printing import cell, gigabytes, print_table
from ontogeny.study_arguments import add_study, read_study

COLUMNS = (
    *("run", "checkpoints", "in GB", "of them scored", "in GB", "states, GB"),
    *("score files", "in GB"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_study(parser)
    parser.add_argument(
        "--removable",
        choices=["scored", "leftovers", "unknown"],
        help="print paths only: weights of segments that are scored, with nothing to be scored "
        "again; what killed jobs have left half-written (and what jobs that are at work are "
        "writing); results of runs, and score files, that the study does not name",
    )
    args = parser.parse_args()
    study = read_study(args)
    root = Path("results", study.study)
    if not root.is_dir():
        others = [f"--scale {name}" for name in study.scales if Path(f"{root}-{name}").is_dir()]
        raise ValueError(
            f"{root}: there is no such folder; "
            + (
                f"for what was made at a scale: {' or '.join(others)}"
                if others
                else f"nothing of {args.study} was made in this directory"
            )
        )
    runs, unknown, left = run_files(study, root), unknown_runs(study, root), leftovers(root)
    strays = unknown_scores(study, root)
    if args.removable:
        groups = {
            "scored": [files.scored for files in runs],
            "leftovers": [left],
            "unknown": [*unknown.values(), strays],
        }
        for files in groups[args.removable]:
            print(*files.paths, sep="\n", end="\n" if files.paths else "")
        return
    print(f"{root}: {cell(gigabytes(all_files(root).bytes()))} GB\n")
    print_table(COLUMNS, [cells(files) for files in runs], left=1)
    print()
    print(
        "Checkpoints that are scored can go, as `keep_checkpoints: none` has it: nothing is made\n"
        "again for it, but a probe that is added, a score file that is lost, or the target `runs`\n"
        "trains the run again, and there are no weights to publish. No job should be\n"
        "at work then, and `snakemake -n scores` should have nothing to do.\n"
        "States: the last one of a run is what more training would begin from."
    )
    if left.paths:
        print(f"Left by jobs that were killed: {size(left)}.")
    for name, files in unknown.items():
        print(f"Results of {name}, which the study does not name: {size(files)}.")
    if strays.paths:
        print(f"Score files that the study does not name (any more): {size(strays)}.")


def size(files: Files) -> str:
    return f"{len(files):,} files, {cell(gigabytes(files.bytes()))} GB"


def cells(files: RunFiles) -> list[str]:
    return [
        files.run,
        *(
            each
            for kind in (files.weights, files.scored)
            for each in (cell(len(kind)), cell(gigabytes(kind.bytes())))
        ),
        cell(gigabytes(files.states.bytes())),
        cell(len(files.scores)),
        cell(gigabytes(files.scores.bytes())),
    ]


if __name__ == "__main__":
    run(main, is_job=False)
