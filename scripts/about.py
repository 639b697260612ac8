"""Write what a folder of results says of itself: the study as it was run, the versions of the
packages, what is where; and, of a finished study, the table of its runs."""

import argparse

import yaml

from ontogeny.about import readme, study_file
from ontogeny.command import run as run_command
from ontogeny.files import replacing, write_text
from ontogeny.paths import Paths
from ontogeny.study import load_study
from ontogeny.study.resolved import unpacked
from ontogeny.versions import environment, project_versions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study-folder", required=True, help="results/<study>: outputs go here")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--study", help="the resolved study as JSON: write study.yaml, environment.txt, README.md"
    )
    what.add_argument(
        "--runs", action="store_true", help="write tables/runs.csv, of the study in study.yaml"
    )
    args = parser.parse_args()
    paths = Paths(args.study_folder)
    if args.runs:
        from ontogeny.runs_table import runs_table  # takes a while

        with open(paths.about("study.yaml"), encoding="utf-8") as file:
            study = load_study(yaml.safe_load(file))
        with replacing(paths.table("runs")) as temporary:
            runs_table(study, paths).write_csv(temporary)
        return
    values = unpacked(args.study)
    text = readme(load_study(values), args.study_folder, project_versions())
    write_text(paths.about("study.yaml"), study_file(values, args.study_folder))
    write_text(paths.about("environment.txt"), environment())
    write_text(paths.about("README.md"), text)


if __name__ == "__main__":
    run_command(main)
