"""Which checkpoints of a published run are there, which are missing, and how coarse the numbers
are: one table per run."""

import argparse
from pathlib import Path

import polars as pl

from ontogeny.command import run as run_command
from ontogeny.files import write_rows
from ontogeny.inputs import matching_files
from ontogeny.progress import say
from ontogeny.published.binomial_scores import LOGPROBS
from ontogeny.published.completeness import completeness_line
from ontogeny.published.precision import FINER, Precision, precision_of
from ontogeny.published.score_files import PublishedFile, published_files
from ontogeny.scoring.records import require_as_scored
from ontogeny.study.runs import ScoresRun, read_run
from ontogeny.study_arguments import add_study_folder, study_paths


def read_precision(scores: str) -> tuple[Precision, float]:
    """The precision of both log-probabilities of a score file, and the share of its rows with a
    preference of exactly 0."""
    require_as_scored([scores])
    table = pl.read_csv(scores, columns=[*LOGPROBS, "preference"], infer_schema=False)
    ties = table["preference"].cast(pl.Float64) == 0
    return precision_of(text for name in LOGPROBS for text in table[name]), ties.mean()


def tokens_at(step: int, files: list[PublishedFile], run: ScoresRun) -> int | None:
    """Tokens of a checkpoint that is missing, where all others have equally many per step."""
    per_step = {run.tokens_per_step} if run.tokens_per_step else set()
    per_step |= {file.tokens / file.step for file in files if file.step}
    return round(step * per_step.pop()) if len(per_step) == 1 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_study_folder(parser)
    parser.add_argument("--name", required=True, help="name of the run")
    parser.add_argument("--run", required=True, help="the run as JSON, as in a study")
    parser.add_argument("--output", type=Path, required=True, help="the table (CSV)")
    args = parser.parse_args()
    paths, run = study_paths(args), read_run(args.run)
    files = published_files(matching_files(run.files), run.tokens_per_step, run.steps_from)
    present = {file.step: file for file in files}
    expected = run.expected_steps()
    scheduled = set(present if expected is None else expected)
    rows, coarse = [], {}
    for step in sorted(scheduled | set(present)):
        file = present.get(step)
        precision = tie_rate = None
        if file is not None:
            precision, tie_rate = read_precision(paths.scores(run.probe, args.name, step))
            coarse.setdefault(precision.name, []).append(precision)
        rows.append(
            {
                "run": args.name,
                "step": step,
                "tokens": file.tokens if file else tokens_at(step, files, run),
                "expected": int(step in scheduled),
                "present": int(file is not None),
                "model": file and file.model,
                "precision": precision and precision.name,
                "multiple_of": precision and precision.multiple_of,
                "rounding": precision and precision.rounding,
                "tie_rate": tie_rate,
                "file": file and file.path,
            }
        )
    write_rows(args.output, rows)
    say(completeness_line(args.name, list(present), expected))
    for name, found in coarse.items():
        if name != FINER:
            say(
                f"run {args.name}: {len(found)} of {len(files)} files hold half-precision numbers "
                f"({name}): rounding alone may move a log-probability by "
                f"{max(p.rounding for p in found):g} nat"
            )


if __name__ == "__main__":
    run_command(main)
