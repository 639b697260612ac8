"""Join the loss curves of a run's segments into one table, a row per step."""

import argparse
from pathlib import Path

import polars as pl

from ontogeny.command import run as run_command
from ontogeny.files import replacing
from ontogeny.manifests import read_manifest, require_whole_run
from ontogeny.tables import read_table

NUMBERS = dict.fromkeys(("epoch", "loss", "lr", "grad_norm"), pl.Float64)
COLUMNS = {"run": pl.String, "step": pl.Int64, "tokens": pl.Int64, **NUMBERS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segments", nargs="+", required=True, help="losses.csv of each segment")
    parser.add_argument(
        "--manifests", nargs="+", type=Path, required=True, help="manifest.json of each, in order"
    )
    parser.add_argument("--trained-as", help="name of the run's spec, which manifests must be of")
    parser.add_argument("--output", type=Path, required=True, help="the table (CSV)")
    args = parser.parse_args()
    require_whole_run([(path, read_manifest(path, args.trained_as)) for path in args.manifests])
    curve = pl.concat(read_table(segment, COLUMNS) for segment in args.segments)
    with replacing(args.output) as temporary:
        curve.sort("step").write_csv(temporary)


if __name__ == "__main__":
    run_command(main)
