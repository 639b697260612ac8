"""Draw the correlation of preferences with references over several runs, side by side."""

import argparse

from ontogeny.command import run as run_command
from ontogeny.figures.overview import overview_figure
from ontogeny.figures.style import save_figure
from ontogeny.figures.tables import CORRELATIONS, read_table


def main() -> None:
    """Read the tables, draw the figure, write it as PNG and SVG."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", nargs="+", required=True, help="correlations of each run (CSV)")
    parser.add_argument("--png", required=True, help="figure at 200 dpi")
    parser.add_argument("--svg", required=True, help="the same figure, as vectors")
    args = parser.parse_args()
    tables = {table: read_table(table, CORRELATIONS) for table in args.table}
    save_figure(overview_figure(tables), args.png, args.svg)


if __name__ == "__main__":
    run_command(main)
