"""What predicts the preferences of a run: least squares at every checkpoint and over training.

The models are those of the study of binomials by Houghton (2026), with least squares in place of
Bayesian fits: see docs/tables.md. One row of the table is one term of one model.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ontogeny.analysis.linear import Fit, interval, ols, z_scores
from ontogeny.analysis.observations import OCCURRED, Observations
from ontogeny.analysis.scores import CHECKPOINT

COLUMNS = {
    "run": pl.String,
    "probe": pl.String,
    "exposure": pl.String,
    "model_name": pl.String,
    "items": pl.String,
    "checkpoint": pl.String,
    "step": pl.Int64,
    "tokens": pl.Int64,
    "term": pl.String,
    "estimate": pl.Float64,
    "se": pl.Float64,
    "lo": pl.Float64,
    "hi": pl.Float64,
    "p_gt0": pl.Float64,
    "sig": pl.Int64,
    "n": pl.Int64,
    "n_items": pl.Int64,
    "r2": pl.Float64,
}
PREFERENCE, DEVIATION, ABSOLUTE = "preference", "deviation", "absolute_deviation"
INTERCEPT = "intercept"
PRIOR, SHARE, TOTAL, BIGRAM = "genpref_c", "freq_prob_c", "log_total_c", "bigram_logodds_c"
TIMES = {"training": "tokens_c", "log_training": "log_tokens_c"}
ANY = ("all", "attested", "nonce", "seen")


@dataclass(frozen=True)
class Model:
    """A response and the terms that predict it; `a:b` is the product of a and b.

    It is fitted on each of the `sets` that a run has, of these on the items whose prior is defined
    if that is a term.
    """

    name: str
    response: str
    terms: tuple[str, ...]
    sets: tuple[str, ...]

    @property
    def exposed(self) -> bool:
        """Whether exposures are in it."""
        return self.response in (DEVIATION, ABSOLUTE) or SHARE in self.terms


def crossed(terms: Sequence[str], *by: str) -> tuple[str, ...]:
    """Each of `terms`, `by`, and the products of each with each of `by`."""
    return (*terms, *by, *(f"{term}:{factor}" for factor in by for term in terms))


FULL = (INTERCEPT, *crossed([PRIOR, SHARE], TOTAL))


def checkpoint_models(seen: Observations) -> Iterator[Model]:
    """The models that are fitted at every checkpoint."""
    constraints = tuple(seen.constraints)
    exposed, prior = seen.exposures is not None, seen.prior is not None
    if prior:
        yield Model("preference_prior", PREFERENCE, (INTERCEPT, PRIOR), ANY)
    if constraints:
        terms = (INTERCEPT, *constraints)
        yield Model("preference_constraints", PREFERENCE, terms, ANY)
    if exposed:
        terms = (INTERCEPT, *crossed([SHARE], TOTAL))
        yield Model("preference_exposure", PREFERENCE, terms, ("all", *OCCURRED))
    if exposed and prior:
        yield Model("preference_full", PREFERENCE, FULL, OCCURRED)
        yield Model("deviation_full", DEVIATION, FULL, OCCURRED)
    if exposed and constraints:
        terms = (INTERCEPT, *crossed([*constraints, SHARE], TOTAL))
        yield Model("preference_constraints_full", PREFERENCE, terms, OCCURRED)
    if exposed and seen.exposures.bigram_logodds is not None:
        terms = (INTERCEPT, SHARE, BIGRAM)
        yield Model("preference_bigram", PREFERENCE, terms, OCCURRED)
        yield Model("deviation_bigram", DEVIATION, terms, OCCURRED)


def training_models(seen: Observations) -> Iterator[Model]:
    """The models of all checkpoints together, with time."""
    exposed, prior = seen.exposures is not None, seen.prior is not None
    for suffix, time in TIMES.items():
        if prior:
            terms = (INTERCEPT, *crossed([PRIOR], time))
            yield Model(f"preference_prior_{suffix}", PREFERENCE, terms, ANY)
        if exposed and prior:
            terms = (INTERCEPT, *crossed([PRIOR, SHARE, TOTAL], time))
            yield Model(f"preference_{suffix}", PREFERENCE, terms, OCCURRED)
            yield Model(f"deviation_{suffix}", DEVIATION, terms, OCCURRED)
        if exposed:
            terms = (INTERCEPT, *crossed([TOTAL], time))
            yield Model(f"absolute_deviation_{suffix}", ABSOLUTE, terms, OCCURRED)


def checkpoint_regressions(seen: Observations) -> pl.DataFrame:
    """Each model at every checkpoint, on each set of items, in the columns of `COLUMNS`."""
    parts = [pl.DataFrame(schema=COLUMNS)]
    for model in checkpoint_models(seen):
        for items, members in item_sets(seen, model):
            values = predictors(seen, members)
            columns = [product(values, term) for term in model.terms]
            response = responses(seen, model.response)[:, members]
            fits = []
            for t, checkpoint in enumerate(seen.checkpoints.iter_rows(named=True)):
                terms = np.stack([column[t : t + 1] for column in columns], axis=-1)
                fit = ols(response[t : t + 1], terms)
                fits.append(fit_row(fit, len(members), len(members), checkpoint))
            parts.append(table_of_terms(fits, seen, model, items))
    return pl.concat(parts)


def training_regressions(seen: Observations) -> pl.DataFrame:
    """Each model of all checkpoints at which the run had read anything, in the columns of
    `COLUMNS`; checkpoint, step and tokens are null."""
    parts = [pl.DataFrame(schema=COLUMNS)]
    some = seen.tokens > 0
    if not some.any():
        return parts[0]
    for model in training_models(seen):
        for items, members in item_sets(seen, model):
            values = predictors(seen, members, some)
            columns = np.stack([product(values, term) for term in model.terms], axis=-1)
            response = responses(seen, model.response)[np.ix_(some, members)]
            fit = fit_row(ols(response, columns), response.size, len(members))
            parts.append(table_of_terms([fit], seen, model, items))
    return pl.concat(parts)


def item_sets(seen: Observations, model: Model) -> Iterator[tuple[str, np.ndarray]]:
    """The sets of items that a model is fitted on: name and indices."""
    for name in model.sets:
        members = seen.sets.get(name, np.empty(0, dtype=np.int64))
        members = seen.with_prior(members) if PRIOR in model.terms else members
        if len(members):
            yield name, members


def responses(seen: Observations, response: str) -> np.ndarray:
    """What is predicted, in nats, shape (checkpoints, items): the preference, or its signed or
    absolute deviation from the log ratio of exposures."""
    if response == PREFERENCE:
        return seen.preference
    deviation = seen.preference - seen.exposures.log_ratio
    return deviation if response == DEVIATION else np.abs(deviation)


def predictors(
    seen: Observations, members: np.ndarray, pooled: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Centred predictors of some items, each of shape (checkpoints, items).

    z-scores are over the items at each checkpoint; where `pooled` chooses checkpoints, over all
    rows of these, and there are also tokens and their logarithm.
    """
    chosen = np.ones(len(seen.tokens), bool) if pooled is None else pooled
    shape = (int(chosen.sum()), len(members))
    values = {INTERCEPT: np.ones(shape)}
    if seen.prior is not None:
        values[PRIOR] = np.broadcast_to(seen.prior[members] - seen.midpoint, shape)
    for name, constraint in seen.constraints.items():
        values[name] = np.broadcast_to(constraint[members], shape)
    axis = 1 if pooled is None else None
    if (exposures := seen.exposures) is not None:
        values[SHARE] = exposures.relative[np.ix_(chosen, members)] - 0.5
        values[TOTAL] = z_scores(exposures.log_total[np.ix_(chosen, members)], axis)
        if exposures.bigram_logodds is not None:
            values[BIGRAM] = z_scores(exposures.bigram_logodds[np.ix_(chosen, members)], axis)
    if pooled is not None:
        tokens = np.repeat(seen.tokens[chosen].astype(np.float64)[:, None], len(members), axis=1)
        values[TIMES["training"]] = z_scores(tokens)
        values[TIMES["log_training"]] = z_scores(np.log(tokens))
    return values


def product(values: dict[str, np.ndarray], term: str) -> np.ndarray:
    """The predictor, or the product of the two that `a:b` names."""
    if term in values:
        return values[term]
    first, second = term.rsplit(":", 1)
    return values[first] * values[second]


def fit_row(
    fit: Fit, n: int, n_items: int, checkpoint: Mapping[str, object] | None = None
) -> dict[str, object]:
    """One fit as `table_of_terms` takes it; `checkpoint` None: of all checkpoints together."""
    where = checkpoint or dict.fromkeys(CHECKPOINT)
    numbers = {"estimate": fit.estimate, "se": fit.se, "r2": fit.r2, "n": n, "n_items": n_items}
    return {**where, **numbers}


def table_of_terms(
    fits: Sequence[dict[str, object]], seen: Observations, model: Model, items: str
) -> pl.DataFrame:
    """The rows of one model on one set of items, one for each fit and term, in `COLUMNS`.

    `fits` are made by `fit_row`. Numbers that are not there (NaN) are null.
    """
    estimate, se = (np.concatenate([fit.pop(key) for fit in fits]) for key in ("estimate", "se"))
    table = pl.DataFrame(fits, schema_overrides=COLUMNS, infer_schema_length=None)
    table = table[np.repeat(np.arange(len(fits)), len(model.terms))]
    low, high, above = interval(estimate, se, table["n_items"].to_numpy())
    numbers = {"estimate": estimate, "se": se, "lo": low, "hi": high, "p_gt0": above}
    source = seen.exposures.source if model.exposed else None
    return table.with_columns(
        run=pl.lit(seen.run),
        probe=pl.lit(seen.probe),
        exposure=pl.lit(source, dtype=pl.String),
        model_name=pl.lit(model.name),
        items=pl.lit(items),
        term=pl.Series(list(model.terms) * len(fits)),
        **{name: pl.Series(column, nan_to_null=True) for name, column in numbers.items()},
        sig=pl.when(pl.Series(~np.isnan(low))).then(pl.Series((low > 0) | (high < 0))),
        r2=pl.col("r2").fill_nan(None),
    ).select(pl.col(name).cast(dtype) for name, dtype in COLUMNS.items())
