"""The Bigram Hypothesis: what a model gets wrong, and stays wrong about, are the pairs whose bad
sentence has the more frequent bigrams (Manna, Snyder & Tabor 2026, arXiv 2603.00359, propose it).

It is tested between paradigms of minimal pairs, and between the pairs of a paradigm. The *early*
checkpoint is the last one within the first tenth of a run's tokens, without step 0.
"""

from itertools import product

import polars as pl

from ontogeny.analysis.bigram_tests import (
    area_under_curve,
    rank_correlation,
    slopes_within_classes,
)
from ontogeny.analysis.minimal_pairs import ALL, pair_statistics
from ontogeny.analysis.states import separation_interval
from ontogeny.study.schedule import EARLY

KEY = {
    "run": pl.String,
    "probe": pl.String,
    "checkpoint": pl.String,
    "step": pl.Int64,
    "tokens": pl.Int64,
    "uid": pl.String,
}
SPREAD = ("accuracy", "accuracy_low", "accuracy_high", "mean_difference", "separation")
CLASSES = {
    **KEY,
    "n": pl.Int64,
    **dict.fromkeys((f"bigram_{name}" for name in SPREAD), pl.Float64),
    "bigram_tie_rate": pl.Float64,
    **dict.fromkeys((f"unigram_{name}" for name in SPREAD), pl.Float64),
    "length_difference": pl.Float64,
}
PAIRS = {
    **KEY,
    "pair_id": pl.String,
    "bigram_difference": pl.Float64,
    "unigram_difference": pl.Float64,
    "length_difference": pl.Int64,
}
ENDS = ("", "_low", "_high")
MEASURES = [
    f"{measure}{end}"
    for measure in ("accuracy", "separation", "bigram_accuracy", "bigram_separation")
    for end in ENDS
] + ["unigram_accuracy", "unigram_separation"]
TERMS = ("bigram", "unigram", "length")
CHANGE = "bigram x log10 tokens"
PARADIGMS = {
    **dict.fromkeys(("run", "probe", "phenomenon", "uid", "fate"), pl.String),
    "early_error": pl.Boolean,
    "entrenched": pl.Boolean,
    "n": pl.Int64,
    **{f"depth{end}": pl.Float64 for end in ENDS},
    "length_difference": pl.Float64,
    **{
        f"{when}_{name}": pl.Int64 if name == "tokens" else pl.Float64
        for when in ("early", "end")
        for name in ("tokens", *MEASURES)
    },
}
TESTS = {
    "run": pl.String,
    "probe": pl.String,
    "test": pl.String,
    "tokens": pl.Int64,
    "predictor": pl.String,
    "statistic": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "n": pl.Int64,
    "positives": pl.Int64,
}


def class_statistics(pairs: pl.DataFrame) -> pl.DataFrame:
    """What bigrams and unigrams prefer in each paradigm, and in all (`uid` is `all`): one row each,
    in the columns of `CLASSES`.

    `pairs`: columns `PAIRS` of one checkpoint. Statistics are those of `pair_statistics`, of these
    differences (nats) in the place of the model's; `length_difference` is the mean, in tokens.
    """
    first = pairs.row(0, named=True)
    phenomena = dict.fromkeys(pairs["uid"].unique(maintain_order=True), "")
    tables = {}
    for predictor in ("bigram", "unigram"):
        scores = pairs.with_columns(preference=f"{predictor}_difference")
        tables[predictor] = pair_statistics(scores, phenomena, first["run"], first["probe"])
    lengths = pairs.group_by("uid").agg(pl.col("length_difference").mean())
    everything = pairs.select(pl.lit(ALL).alias("uid"), pl.col("length_difference").mean())
    table = tables["bigram"].rename({name: f"bigram_{name}" for name in (*SPREAD, "tie_rate")})
    unigrams = tables["unigram"].select(
        "uid", *(pl.col(name).alias(f"unigram_{name}") for name in SPREAD)
    )
    return (
        table.join(unigrams, on="uid", maintain_order="left")
        .join(pl.concat([everything, lengths]), on="uid", maintain_order="left")
        .select(pl.col(name).cast(dtype) for name, dtype in CLASSES.items())
    )


def bigram_paradigms(
    fates: pl.DataFrame, model: pl.DataFrame, bigrams: pl.DataFrame
) -> pl.DataFrame:
    """One row for each paradigm, in the columns of `PARADIGMS`: what bigrams and the model prefer
    at the early checkpoint and at the last one, and what becomes of the paradigm.

    Args:
        fates: columns `stuck.PARADIGMS`, of one run.
        model: columns `minimal_pairs.COLUMNS`, of that run.
        bigrams: columns `CLASSES`, of that run.

    Columns that begin with `early_` are null for a run without an early checkpoint. The interval of
    a separation is that of `separation_interval`. Raises ValueError for no paradigms, or one
    without a checkpoint that both have.
    """
    keys = ["probe", "uid"]
    model = model.filter(pl.col("uid") != ALL).select(*keys, "tokens", *SPREAD)
    both = bigrams.join(model, on=[*keys, "tokens"])
    both = both.with_columns(
        *separation_interval("separation"), *separation_interval("bigram_separation")
    )
    last = pl.col("tokens").max().over("probe")
    places = {
        "early": pl.col("tokens").is_between(1, EARLY * last),
        "end": pl.lit(True),
    }
    table = fates.select(
        *("run", "probe", "phenomenon", "uid", "fate", "entrenched", "n"),
        *(f"depth{end}" for end in ENDS),
        early_error=(pl.col("onset_share") <= EARLY).fill_null(False),
    )
    for when, within in places.items():
        part = both.filter(within).filter(pl.col("tokens") == pl.col("tokens").max().over("probe"))
        names = {name: f"{when}_{name}" for name in ("tokens", *MEASURES)}
        part = part.select(*keys, *names, *(["length_difference"] * (when == "end"))).rename(names)
        table = table.join(part, on=keys, how="left", maintain_order="left")
    if table.is_empty():
        raise ValueError("there are no paradigms")
    for row in table.filter(pl.col("end_accuracy").is_null()).head(1).iter_rows(named=True):
        raise ValueError(
            f"run {row['run']!r}, probe {row['probe']!r}: bigrams and model have no checkpoint in "
            f"common at which both have paradigm {row['uid']!r}"
        )
    return table.select(pl.col(name).cast(dtype) for name, dtype in PARADIGMS.items())


def between_paradigms(table: pl.DataFrame) -> pl.DataFrame:
    """Whether bigrams, and as a control unigrams, tell which paradigms a model gets wrong: rows of
    `TESTS`.

    `early_separation`, `end_separation`: rank correlations over paradigms of the predictor's
    separation with the model's, at one checkpoint. `early_error`, `entrenched`: how well the share
    of pairs that the predictor gets wrong at the early checkpoint tells the paradigms with an error
    held in the first tenth of training, and the entrenched ones, from the others.

    `table`: columns `PARADIGMS`, of one run and probe.
    """
    rows = []
    for when, predictor in product(("early", "end"), ("bigram", "unigram")):
        known = table.select(f"{when}_{predictor}_separation", f"{when}_separation").drop_nulls()
        for statistic in ("spearman", "kendall"):
            rows.append(
                {
                    "test": f"{when}_separation",
                    "tokens": table[f"{when}_tokens"][0],
                    "predictor": predictor,
                    "statistic": statistic,
                    **rank_correlation(*known.to_numpy().T, statistic),
                }
            )
    for outcome, predictor in product(("early_error", "entrenched"), ("bigram", "unigram")):
        known = table.select(f"early_{predictor}_accuracy", outcome).drop_nulls()
        rows.append(
            {
                "test": outcome,
                "tokens": table["early_tokens"][0],
                "predictor": predictor,
                "statistic": "auc",
                **area_under_curve(1 - known.to_series(0).to_numpy(), known[outcome].to_numpy()),
            }
        )
    return _of_run(rows, table)


def within_paradigms(pairs: pl.DataFrame, preferences: pl.DataFrame) -> pl.DataFrame:
    """Whether bigrams tell which pairs of a paradigm a model gets wrong: rows of `TESTS`.

    Least squares with an intercept for each paradigm, at the early checkpoint (`early_pairs`), at
    the last (`end_pairs`), and with one for each paradigm and checkpoint at all that the pairs are
    given at (`pooled_pairs`):
    preference ~ bigram difference + unigram difference + length difference,
    and in the last also bigram difference x log10(tokens / tokens at the end), so that `bigram` is
    the slope at the end. A slope is in nats of preference for a nat, or for a token.

    Args:
        pairs: columns `PAIRS`, of one run and probe.
        preferences: `tokens`, `uid`, `pair_id`, `preference` (nats).

    Raises:
        ValueError: a pair has no preference.
    """
    table = pairs.join(preferences, on=["tokens", "uid", "pair_id"], how="left")
    for row in table.filter(pl.col("preference").is_null()).head(1).iter_rows(named=True):
        raise ValueError(
            f"run {row['run']!r}, {row['checkpoint']}: no score of pair {row['pair_id']!r} of uid "
            f"{row['uid']!r}"
        )
    tokens = pl.col("tokens")
    end = table["tokens"].max()
    early = table.filter(tokens <= EARLY * end)["tokens"].max()
    table = table.rename({f"{name}_difference": name for name in TERMS}).with_columns(
        (pl.col("bigram") * (tokens / end).log10()).alias(CHANGE)
    )
    models = {
        "early_pairs": (early, table.filter(tokens.eq_missing(pl.lit(early, pl.Int64))), TERMS),
        "end_pairs": (end, table.filter(tokens == end), TERMS),
        "pooled_pairs": (end, table, (*TERMS, CHANGE)),
    }
    rows = [
        {"test": test, "tokens": at, "predictor": term, "statistic": "slope", **slope}
        for test, (at, part, terms) in models.items()
        for term, slope in slopes_within_classes(part, terms).items()
    ]
    return _of_run(rows, table)


def _of_run(rows: list[dict], table: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame(
        [table.select("run", "probe").row(0, named=True) | row for row in rows], TESTS
    )
