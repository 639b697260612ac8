"""Print published results beside those of a study, as a Markdown table: in each field the published
value, a stroke, and the mean over seeds with the lowest and the highest seed."""

import argparse
from pathlib import Path

import polars as pl

from ontogeny.analysis.capacity import SUMMARY
from ontogeny.command import run
from ontogeny.tables import read_table

RUNS = ["corpus", "architecture", "weight_decay"]
KEY = [*RUNS, "probe", "class"]
STATISTICS = {  # title and number of decimals
    "end_accuracy": ("last", 3),
    "best_accuracy": ("best", 3),
    "n_perfect": ("perfect checkpoints", 0),
    "first_perfect_step": ("first perfect step", 0),
    "end_loss": ("training loss", 3),
}
TYPES = {name: SUMMARY[name] for name in (*KEY, "n")} | dict.fromkeys(STATISTICS, pl.Float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--published", type=Path, required=True, help="data/published/*.csv")
    parser.add_argument("--summary", type=Path, required=True, help="tables/capacity_summary.csv")
    args = parser.parse_args()
    published = read_table(args.published, TYPES)
    lines = comparison(published, read_table(args.summary, SUMMARY))
    print("\n".join(lines))


def comparison(published: pl.DataFrame, summary: pl.DataFrame) -> list[str]:
    """Lines of the table: sets of items that both have, in the order of what is published. The
    loss, which is of no set, stands in the first row of each kind of run."""
    found = {(row["statistic"], *(row[name] for name in KEY)): row for row in summary.to_dicts()}
    titles = [title for title, _ in STATISTICS.values()]
    lines = [["trained on", "model", "weight decay", "items", "n", "seeds", *titles]]
    lines.append(["---"] * len(lines[0]))
    described = []
    for row in published.iter_rows(named=True):
        runs, key = [row[name] for name in RUNS], [row[name] for name in KEY]
        if ("end_accuracy", *key) not in found:
            continue
        ours = {name: found.get((name, *key)) for name in STATISTICS}
        if runs not in described:
            ours["end_loss"] = found["end_loss", *runs, None, None]
        described.append(runs)
        items = row["probe"] if row["class"] == "all" else row["class"]
        of_set = ours["end_accuracy"]
        line = [*runs[:2], f"{runs[2]:g}", items, f"{row['n']} / {of_set['n']}"]
        line += [str(of_set["n_seeds"])]
        line += [
            ""
            if ours[name] is None
            else f"{_number(row[name], places)} / {_spread(ours[name], places)}"
            for name, (_, places) in STATISTICS.items()
        ]
        lines.append(line)
    return [f"| {' | '.join(line)} |" for line in lines]


def _spread(row: dict, places: int) -> str:
    mean, low, high = (_number(row[name], places) for name in ("mean", "min", "max"))
    return mean if low == high else f"{mean} ({low} to {high})"


def _number(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:,.{places}f}"


if __name__ == "__main__":
    run(main, is_job=False)
