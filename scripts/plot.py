"""Draw a figure from the tables that it is made from, as PNG and SVG."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import plotnine as p9

from ontogeny.command import run as run_command
from ontogeny.figures import tables
from ontogeny.figures.bigrams import bigrams_figure
from ontogeny.figures.coefficients import coefficients_figure
from ontogeny.figures.completions import completions_figure
from ontogeny.figures.correlation import correlation_figure
from ontogeny.figures.entrenchment import entrenchment_figure
from ontogeny.figures.loss import loss_figure
from ontogeny.figures.minimal_pairs import minimal_pairs_figure, paradigms_figure
from ontogeny.figures.overview import overview_figure
from ontogeny.figures.perplexity import perplexity_figure
from ontogeny.figures.relative_frequency import relative_frequency_figure
from ontogeny.figures.seeds import seeds_figure
from ontogeny.figures.style import save_figure
from ontogeny.figures.thresholds import thresholds_figure


@dataclass(frozen=True)
class Figure:
    """What draws a figure, and the columns of each table that it is given.

    `across` runs: any number of tables with the same columns, given as a dictionary by name.
    """

    draw: Callable[..., p9.ggplot]
    columns: tuple[dict, ...]
    across: bool = False


FIGURES = {
    "coefficients": Figure(coefficients_figure, (tables.REGRESSIONS,)),
    "bigrams": Figure(bigrams_figure, (tables.BIGRAM_CLASSES, tables.BIGRAM_TESTS)),
    "completions": Figure(completions_figure, (tables.COMPLETIONS,)),
    "correlation": Figure(correlation_figure, (tables.CORRELATIONS,)),
    "entrenchment": Figure(entrenchment_figure, (tables.STATES, tables.PARADIGMS)),
    "loss": Figure(loss_figure, (tables.LOSSES,)),
    "minimal_pairs": Figure(minimal_pairs_figure, (tables.MINIMAL_PAIRS,)),
    "overview": Figure(overview_figure, (tables.CORRELATIONS,), across=True),
    "paradigms": Figure(paradigms_figure, (tables.MINIMAL_PAIRS,)),
    "perplexity": Figure(perplexity_figure, (tables.PERPLEXITY,)),
    "relative_frequency": Figure(relative_frequency_figure, (tables.ITEMS,)),
    "seeds": Figure(seeds_figure, (tables.SEEDS,)),
    "thresholds": Figure(thresholds_figure, (tables.LEARNING, tables.THRESHOLDS)),
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
    drawn = figure.draw(read) if figure.across else figure.draw(*read.values(), name=args.tables[0])
    save_figure(drawn, args.png, args.svg)


if __name__ == "__main__":
    run_command(main)
