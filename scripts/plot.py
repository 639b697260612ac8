"""Draw a figure from the tables that it is made from, as PNG and SVG."""

import argparse
from dataclasses import dataclass
from pkgutil import resolve_name

from ontogeny.command import run as run_command
from ontogeny.figures import tables
from ontogeny.figures.style import save_figure


@dataclass(frozen=True)
class Figure:
    """Module and function that draw a figure, and the columns of each table that they are given.

    `across` runs: any number of tables with the same columns, given as a dictionary by name.
    """

    draw: str
    columns: tuple[dict, ...]
    across: bool = False


FIGURES = {
    "bigrams": Figure("bigrams:bigrams_figure", (tables.BIGRAM_CLASSES, tables.BIGRAM_TESTS)),
    "capacity": Figure("capacity:capacity_figure", (tables.CAPACITY,)),
    "capacity_curves": Figure("capacity_curves:capacity_curves_figure", (tables.CURVES,)),
    "coefficients": Figure("coefficients:coefficients_figure", (tables.REGRESSIONS,)),
    "completions": Figure("completions:completions_figure", (tables.COMPLETIONS,)),
    "correlation": Figure("correlation:correlation_figure", (tables.CORRELATIONS,)),
    "entrenchment": Figure("entrenchment:entrenchment_figure", (tables.STATES, tables.PARADIGMS)),
    "insertion_curves": Figure("insertions:insertion_curves_figure", (tables.INSERTIONS,)),
    "insertions": Figure("insertions:insertions_figure", (tables.INSERTIONS,)),
    "loss": Figure("loss:loss_figure", (tables.LOSSES,)),
    "minimal_pairs": Figure("minimal_pairs:minimal_pairs_figure", (tables.MINIMAL_PAIRS,)),
    "overview": Figure("overview:overview_figure", (tables.CORRELATIONS,), across=True),
    "paradigms": Figure("minimal_pairs:paradigms_figure", (tables.MINIMAL_PAIRS,)),
    "perplexity": Figure("perplexity:perplexity_figure", (tables.PERPLEXITY,)),
    "relative_frequency": Figure("relative_frequency:relative_frequency_figure", (tables.ITEMS,)),
    "seeds": Figure("seeds:seeds_figure", (tables.SEEDS,)),
    "thresholds": Figure("thresholds:thresholds_figure", (tables.LEARNING, tables.THRESHOLDS)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", choices=FIGURES, help="which figure")
    parser.add_argument(
        "--tables", nargs="+", required=True, help="the tables that it is made from (CSV), in order"
    )
    parser.add_argument("--png", required=True, help="figure at 200 dpi")
    parser.add_argument("--svg", required=True, help="the same figure, as vectors")
    args = parser.parse_args()
    figure = FIGURES[args.figure]
    columns = figure.columns * len(args.tables) if figure.across else figure.columns
    if len(columns) != len(args.tables):
        parser.error(
            f"{args.figure} is made from {len(columns)} tables, not from {len(args.tables)}"
        )
    read = {path: tables.read_table(path, c) for path, c in zip(args.tables, columns, strict=True)}
    draw = resolve_name(f"ontogeny.figures.{figure.draw}")  # the others need not be imported
    drawn = draw(read) if figure.across else draw(*read.values(), name=args.tables[0])
    save_figure(drawn, args.png, args.svg)


if __name__ == "__main__":
    run_command(main)
