"""Join the loss curves of a run's segments into one table, a row per step."""

import argparse
from pathlib import Path

import polars as pl

from ontogeny.command import run as run_command
from ontogeny.files import replacing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segments", nargs="+", required=True, help="losses.csv of each segment")
    parser.add_argument("--output", type=Path, required=True, help="the table (CSV)")
    args = parser.parse_args()
    with replacing(args.output) as temporary:
        pl.read_csv(args.segments).sort("step").write_csv(temporary)


if __name__ == "__main__":
    run_command(main)
