"""Arguments of scripts that are about a study: its file, or the folder of its results.

Apart from `ontogeny.command`, which every script imports: reading a study takes a while to import.
"""

import argparse
from pathlib import Path

from ontogeny.command import add_probes
from ontogeny.paths import Paths
from ontogeny.study import Study, StudyError, load_files


def add_study(parser: argparse.ArgumentParser) -> None:
    """The arguments of scripts that are about a study file; `read_study` reads it."""
    parser.add_argument("study", type=Path, help="the study file, such as studies/own_text.yaml")
    parser.add_argument("--scale", help="one of its `scales`; by default the whole study")


def read_study(args: argparse.Namespace) -> Study:
    """The study of `add_study`, checked and at its scale."""
    try:
        return load_files([args.study], {"scale": args.scale} if args.scale else {})
    except StudyError as error:
        file = str(args.study)
        lines = (p if p.startswith(file) else f"{file}: {p}" for p in error.problems)
        raise ValueError("; ".join(lines)) from None


def add_study_folder(parser: argparse.ArgumentParser) -> None:
    """The arguments of scripts that read or write score files; `study_paths` is what they say."""
    parser.add_argument("--study-folder", required=True, help="results/<study>")
    parser.add_argument(
        "--score-files",
        default="csv",
        choices=("csv", "csv.zst"),
        help="how their names end (default: %(default)s)",
    )


def study_paths(args: argparse.Namespace) -> Paths:
    """The study's files, from the arguments of `add_study_folder`."""
    return Paths(args.study_folder, args.score_files)


def add_run(parser: argparse.ArgumentParser) -> None:
    """The arguments of scripts that gather the scores of a run."""
    parser.add_argument("--run", required=True, help="its checkpoints: the run as JSON")
    parser.add_argument(
        "--trained-as", help="name of what its weights are made from; another one makes it again"
    )


def run_table_parser(description: str, from_scores: bool = False) -> argparse.ArgumentParser:
    """What the scripts that make a table of a run are told: its name, its probes, the output; and
    its checkpoints, or whether its exposures are known."""
    parser = argparse.ArgumentParser(description=description)
    add_study_folder(parser)
    parser.add_argument("--name", required=True, help="name of the run")
    if from_scores:
        add_run(parser)
    else:
        parser.add_argument(
            "--trained", action="store_true", help="it is trained here: its exposures are known"
        )
    add_probes(parser)
    parser.add_argument("--output", type=Path, required=True, help="the table (CSV)")
    return parser
