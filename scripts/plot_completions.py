"""Draw the accuracy of completions over a run, of each class of items."""

import argparse

from ontogeny.command import run as run_command
from ontogeny.figures.completions import completions_figure
from ontogeny.figures.style import save_figure
from ontogeny.figures.tables import COMPLETIONS, read_table


def main() -> None:
    """Read the table, draw the figure, write it as PNG and SVG."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, help="accuracy of completions of the run (CSV)")
    parser.add_argument("--png", required=True, help="figure at 200 dpi")
    parser.add_argument("--svg", required=True, help="the same figure, as vectors")
    args = parser.parse_args()
    plot = completions_figure(read_table(args.table, COMPLETIONS), args.table)
    save_figure(plot, args.png, args.svg)


if __name__ == "__main__":
    run_command(main)
