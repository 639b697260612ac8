"""Regressions recover what was planted, and find nothing where nothing was planted."""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from planted_items import (
    FULL,
    by_term,
    centred,
    checkpoints_of,
    full_world,
    make_items,
    observed,
    rows_of,
    some_counts,
    tables_of,
    terms,
)

from ontogeny.analysis.constraints import variance_inflation
from ontogeny.analysis.observations import observations
from ontogeny.analysis.regressions import (
    COLUMNS,
    checkpoint_regressions,
    training_regressions,
)
from ontogeny.paths import PROJECT, Paths
from ontogeny.scoring.stimuli.binomials import read_binomials
from ontogeny.study.probes import BinomialsProbe

PUBLISHED_ITEMS = PROJECT.parent / "shared/data/binomials/nonce_and_attested_binoms.csv"

# ---------------------------------------------------------------------------- every checkpoint


def test_planted_coefficients_come_back():
    seen = full_world(np.random.default_rng(0), items=600)
    table = checkpoint_regressions(seen)
    assert table.columns == list(COLUMNS)
    for step in (1, 2, 3):
        found = by_term(rows_of(table, "preference_full", "seen", step=step))
        assert list(found) == list(FULL)
        for term, truth in FULL.items():
            row = found[term]
            assert row["estimate"] == pytest.approx(truth, abs=4 * row["se"])
            assert row["se"] < 0.15
            assert (row["sig"] == 1) == (row["lo"] > 0 or row["hi"] < 0)
        assert found["genpref_c"]["p_gt0"] > 0.999
        assert found["log_total_c"]["p_gt0"] < 0.001
        assert found["genpref_c"]["n"] == found["genpref_c"]["n_items"] == 600
        assert found["genpref_c"]["exposure"] == "corpus"


def test_intervals_hold_the_truth_in_95_of_100_data_sets():
    """Each checkpoint is a new data set of 40 items with unequal spread, the smallest usual set."""
    rng = np.random.default_rng(5)
    data_sets = 600
    held = dict.fromkeys(FULL, 0)
    for _ in range(6):  # items of their own
        table = checkpoint_regressions(
            full_world(rng, items=40, checkpoints=data_sets // 6, noise=1)
        )
        part = rows_of(table, "preference_full", "seen")
        for term, truth in FULL.items():
            of = part.filter(term=term)
            held[term] += ((of["lo"] <= truth) & (of["hi"] >= truth)).sum()
    shares = {term: count / data_sets for term, count in held.items()}
    assert all(0.92 <= share <= 0.99 for share in shares.values()), shares
    assert 0.94 <= np.mean(list(shares.values())) <= 0.98


def test_no_effect_is_found_where_none_was_planted():
    rng = np.random.default_rng(6)
    table = checkpoint_regressions(full_world(rng, 80, 300, coefficients={}))
    found = table.filter(pl.col("model_name").is_in(["preference_full", "preference_exposure"]))
    shares = found.group_by("term", "items", "model_name").agg(pl.col("sig").mean())
    assert shares["sig"].max() < 0.10
    assert 0.02 < shares["sig"].mean() < 0.07


def test_predictors_at_a_checkpoint_are_counts_by_it_and_the_items_stay_the_same():
    rng = np.random.default_rng(7)
    items = 60
    alpha, nonalpha = some_counts(rng, items)
    late = np.arange(items) >= 20  # not seen by the second checkpoint
    counts = [np.array([np.zeros(items), np.where(late, 0, c), c]) for c in (alpha, nonalpha)]
    prior = rng.uniform(size=items)
    preference = rng.normal(size=(3, items))
    table = checkpoint_regressions(observed(preference, *counts, prior))
    full = rows_of(table, "preference_full", "seen")
    assert set(full["n_items"]) == {items}
    for t in range(3):
        columns = terms(prior, counts[0][t], counts[1][t]) if t else None
        x = np.column_stack(list(columns.values())) if t else sm.add_constant(prior - 0.5)
        expected = sm.OLS(preference[t], x).fit(cov_type="HC3")
        part = full.filter(step=t + 1)
        defined = part.filter(pl.col("estimate").is_not_null())
        assert defined["estimate"].to_list() == pytest.approx(expected.params.tolist())
        assert defined["se"].to_list() == pytest.approx(expected.bse.tolist())
        assert defined["r2"][0] == pytest.approx(expected.rsquared)
    nothing_seen = by_term(full.filter(step=1))
    for term in list(FULL)[2:]:
        row = nothing_seen[term]
        assert [row[key] for key in ("estimate", "se", "lo", "hi", "p_gt0", "sig")] == [None] * 6
    both = int(((alpha > 0) & (nonalpha > 0)).sum())
    assert set(rows_of(table, "preference_full", "both_orders")["n_items"]) == {both}


def test_the_prior_is_regressed_on_by_group_and_items_without_one_are_left_out():
    rng = np.random.default_rng(8)
    prior = rng.uniform(size=50)
    prior[[0, 49]] = np.nan
    preference = np.where(np.arange(50) < 30, 3, -1) * (np.nan_to_num(prior) - 0.5)
    seen = observed([preference, 0 * preference], prior=prior, attested=30)
    table = checkpoint_regressions(seen)
    assert set(table["model_name"]) == {"preference_prior"}
    assert set(table["exposure"]) == {None}
    slopes = table.filter(term="genpref_c", step=1)
    found = dict(zip(slopes["items"], slopes["estimate"], strict=True))
    assert found["attested"] == pytest.approx(3)
    assert found["nonce"] == pytest.approx(-1)
    assert dict(zip(slopes["items"], slopes["n"], strict=True)) == {
        "all": 48,
        "attested": 29,
        "nonce": 19,
    }
    assert table.filter(step=2)["estimate"].null_count() == 6  # all preferences are equal


def test_the_signed_deviation_is_what_is_left_of_the_log_ratio():
    rng = np.random.default_rng(9)
    alpha, nonalpha = some_counts(rng, 400)
    prior = rng.uniform(size=400)
    ratio = np.log((alpha + 0.5) / (nonalpha + 0.5))
    copies = ratio + 0.1 * rng.normal(size=400)
    guided = copies + 2 * (prior - 0.5)
    table = checkpoint_regressions(observed([copies, guided], alpha, nonalpha, prior))
    for step, slope in ((1, 0.0), (2, 2.0)):
        row = by_term(rows_of(table, "deviation_full", "seen", step=step))["genpref_c"]
        assert row["estimate"] == pytest.approx(slope, abs=4 * row["se"])
        assert row["se"] < 0.03


def test_bigrams_and_relative_exposure_are_told_apart():
    rng = np.random.default_rng(10)
    alpha, nonalpha = some_counts(rng, 300)
    share = (alpha + 0.5) / (alpha + nonalpha + 1) - 0.5
    bigram = 0.7 * centred(share) + rng.normal(size=300)
    preference = 2 * share + 0.4 * centred(bigram) + 0.1 * rng.normal(size=(2, 300))
    table = checkpoint_regressions(
        observed(preference, alpha, nonalpha, bigram=np.tile(bigram, (2, 1)))
    )
    found = by_term(rows_of(table, "preference_bigram", "seen", step=1))
    assert found["freq_prob_c"]["estimate"] == pytest.approx(2, abs=0.1)
    assert found["bigram_logodds_c"]["estimate"] == pytest.approx(0.4, abs=0.03)
    assert "genpref_c" not in set(table["term"])


def test_constraints_and_their_interactions():
    rng = np.random.default_rng(11)
    alpha, nonalpha = some_counts(rng, 400)
    values = {"Form": rng.normal(size=400), "*BStress": rng.normal(size=400), "No": np.ones(400)}
    total = centred(np.log(alpha + nonalpha + 1))
    share = (alpha + 0.5) / (alpha + nonalpha + 1) - 0.5
    preference = (0.5 - 0.2 * total) * values["Form"] + share + 0.1 * rng.normal(size=(1, 400))
    table = checkpoint_regressions(observed(preference, alpha, nonalpha, constraints=values))
    plain = by_term(rows_of(table, "preference_constraints", "all"))
    assert list(plain) == ["intercept", "Form", "*BStress", "No"]
    assert plain["No"]["estimate"] is None
    full = by_term(rows_of(table, "preference_constraints_full", "seen"))
    planted = {"Form": 0.5, "Form:log_total_c": -0.2, "*BStress": 0, "freq_prob_c": 1}
    planted |= {"*BStress:log_total_c": 0, "freq_prob_c:log_total_c": 0, "log_total_c": 0}
    for term, truth in planted.items():
        assert full[term]["estimate"] == pytest.approx(truth, abs=0.07), term


# ---------------------------------------------------------------------------- over training


def test_effects_that_grow_with_tokens_and_with_their_logarithm():
    rng = np.random.default_rng(12)
    items, steps = 200, [0, *range(1, 40, 3)]
    prior = rng.uniform(size=items)
    alpha, nonalpha = some_counts(rng, items)
    tokens = np.array(steps[1:]) * 1000.0
    own = 0.5 * rng.normal(size=items)
    for name, term, time in (
        ("training", "tokens_c", centred(tokens)),
        ("log_training", "log_tokens_c", centred(np.log(tokens))),
    ):
        slope = np.concatenate([[50.0], 1.0 + 0.6 * time])  # what was before training doesn't count
        preference = slope[:, None] * (prior - 0.5) + own
        preference = preference + 0.1 * rng.normal(size=preference.shape)
        seen = observed(preference, alpha, nonalpha, prior, steps=steps)
        found = training_regressions(seen)
        for model in (f"preference_prior_{name}", f"preference_{name}"):
            rows = by_term(rows_of(found, model, "seen"))
            assert rows["genpref_c"]["estimate"] == pytest.approx(1, abs=0.35)
            # the z-scores of all rows have n - 1 of rows, ours here of checkpoints
            assert rows[f"genpref_c:{term}"]["estimate"] == pytest.approx(0.6, abs=0.05)
            assert rows[f"genpref_c:{term}"]["hi"] - rows[f"genpref_c:{term}"]["lo"] < 0.1
            row = rows["genpref_c"]
            assert (row["checkpoint"], row["step"], row["tokens"]) == (None, None, None)
            assert (row["n"], row["n_items"]) == (items * (len(steps) - 1), items)


def test_errors_over_training_are_by_item():
    """Rows of an item share its own part; 13 rows each are no 13 items."""
    rng = np.random.default_rng(13)
    held, widths = 0, []
    for _ in range(200):
        prior = rng.uniform(size=40)
        preference = (prior - 0.5) + rng.normal(size=40) + 0.2 * rng.normal(size=(5, 40))
        table = training_regressions(observed(preference, prior=prior))
        row = by_term(rows_of(table, "preference_prior_training", "all"))["genpref_c"]
        held += row["lo"] <= 1 <= row["hi"]
        widths.append(row["se"])
    assert 0.91 <= held / 200 <= 0.99
    assert np.mean(widths) == pytest.approx(1 / np.sqrt(40 / 12), rel=0.1)  # sd / sqrt(n var)


def test_absolute_deviations_over_training():
    rng = np.random.default_rng(14)
    alpha, nonalpha = some_counts(rng, 300)
    ratio = np.log((alpha + 0.5) / (nonalpha + 0.5))
    total = np.log(alpha + nonalpha + 1)
    distance = 3 - 0.5 * centred(total) - 0.4 * centred(np.arange(1.0, 9.0))[:, None]
    preference = ratio + distance * rng.choice([-1, 1], size=distance.shape)
    table = training_regressions(observed(preference, alpha, nonalpha))
    rows = by_term(rows_of(table, "absolute_deviation_training", "seen"))
    assert rows["intercept"]["estimate"] == pytest.approx(3)
    assert rows["log_total_c"]["estimate"] == pytest.approx(-0.5, abs=0.01)
    assert rows["tokens_c"]["estimate"] == pytest.approx(-0.4, abs=0.04)
    assert rows["log_total_c:tokens_c"]["estimate"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("steps", [[0], [0, 5], [5]])
def test_few_checkpoints(steps):
    rng = np.random.default_rng(15)
    alpha, nonalpha = some_counts(rng, 30)
    counts = np.array([[0] * 30 if step == 0 else alpha for step in steps])
    seen = observed(
        rng.normal(size=(len(steps), 30)), counts, nonalpha, rng.uniform(size=30), steps=steps
    )
    assert set(checkpoint_regressions(seen)["step"]) == set(steps)
    table = training_regressions(seen)
    if steps == [0]:
        assert table.is_empty()
    else:
        rows = by_term(rows_of(table, "preference_training", "seen"))
        assert rows["tokens_c"]["estimate"] is None
        assert rows["genpref_c"]["estimate"] is not None


# ---------------------------------------------------------------------------- real items, scripts


@pytest.mark.skipif(not PUBLISHED_ITEMS.is_file(), reason=f"needs {PUBLISHED_ITEMS}")
def test_the_published_items_without_exposures_of_our_own():
    constraints = ["Form", "Percept", "Culture", "Power", "Intense", "Icon", "Freq", "Len", "Lapse"]
    probe = BinomialsProbe(
        type="binomials",
        items=str(PUBLISHED_ITEMS),
        references={
            "human": {"column": "GenPref"},
            "relative_frequency": {"column": "RelFreq", "attested_only": True},
        },
        constraints=[*constraints, "*BStress"],
    )
    items = read_binomials(PUBLISHED_ITEMS, probe, {})
    rng = np.random.default_rng(22)
    grid = checkpoints_of([0, 1]).join(
        pl.DataFrame({"binom": [item.alpha for item in items]}), how="cross"
    )
    preferences = grid.with_columns(
        run=pl.lit("r"), probe=pl.lit("p"), n=1, preference=pl.Series(rng.normal(size=len(grid)))
    )
    seen = observations(preferences, items, probe, None, "r", "p")
    table = checkpoint_regressions(seen)
    counts = dict(table.select("items", "n_items").filter(pl.col("items") != "all").iter_rows())
    assert counts["counted"] == 594
    assert counts["nonce"] == 131
    undefined = table.filter(pl.col("estimate").is_null())
    assert set(undefined.select("items", "term").iter_rows()) == {
        ("nonce", "Form"),  # 0 in all nonce items
        ("nonce", "Icon"),
    }
    assert set(rows_of(table, "preference_full", "counted")["exposure"]) == {"outside"}
    assert np.abs(seen.exposures.log_ratio).max() < 20  # RelFreq has 0 and 1: 20.7 when cut at 1e-9
    inflation = variance_inflation(seen.constraints)
    values = np.column_stack(list(seen.constraints.values()))
    expected = np.diag(np.linalg.inv(np.corrcoef(values.T)))
    assert list(inflation.values()) == pytest.approx(expected.tolist())


def test_the_script(tmp_path):
    paths = Paths(str(tmp_path / "study"))
    rng = np.random.default_rng(23)
    words = [(f"a{i:02d}", f"b{i:02d}") for i in range(24)]
    names = [f"{a} and {b}" for a, b in words]
    stimuli = tmp_path / "items.csv"
    stimuli.write_text(
        "Word1,Word2,OverallFreq,GenPref,Form,Attested\n"
        + "".join(f"{a},{b},5,0.{i + 10},{i % 3 - 1},1\n" for i, (a, b) in enumerate(words))
    )
    responses = tmp_path / "responses.csv"
    responses.write_text(
        "Word1,Word2,resp\n" + "".join(f"{a},{b},alpha\n{a},{b},nonalpha\n" for a, b in words)
    )
    items = make_items(24, names=words)
    counts = np.stack([np.zeros((24, 2), int), rng.integers(1, 30, (24, 2))])
    preferences, exposures = tables_of(items, counts, [0, 2])
    preferences = preferences.with_columns(preference=pl.Series(rng.normal(size=48)))
    order = ["run", "checkpoint", "step", "tokens", "binom", "alpha_seen", "nonalpha_seen"]
    around = ["w1_total", "w2_total", "w1_and", "w2_and", "and_w1", "and_w2"]
    exposures = exposures.with_columns(run=pl.lit("r")).select(*order, *around)
    noise = rng.normal(size=(3, 24))
    values = preferences["preference"].to_numpy()[-24:] + noise - noise.mean(axis=0)
    last = pl.DataFrame(
        {
            "prompt": np.repeat(["x ", "y ", "z "], 24),
            "binom": names * 3,
            "preference": values.ravel(),
        }
    ).with_columns(model=pl.lit("r"), checkpoint=pl.lit("step-00000002"), step=2, tokens=2000)
    for path, table in (
        (paths.run_table("r", "preferences"), preferences),
        (paths.exposures("p", "r"), exposures),
        (paths.scores("p", "r", 2), last),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        table.write_csv(path)
    probe = BinomialsProbe(
        type="binomials",
        items=str(stimuli),
        references={"human": {"column": "GenPref"}},
        constraints=["Form"],
        responses=str(responses),
    )
    outputs = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv")]
    done = subprocess.run(
        [
            *(sys.executable, PROJECT / "scripts/regressions.py", "--study-folder", paths.root),
            *("--name", "r", "--trained", "--probe", "p", probe.model_dump_json(), stimuli),
            *("--output", outputs[0], "--deviations", outputs[1], "--constraints", outputs[2]),
        ],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    table, gaps, constraints = (pl.read_csv(path) for path in outputs)
    assert table.columns == list(COLUMNS)
    assert set(table["model_name"]) >= {"preference_full", "preference_mixed", "responses"}
    assert "NaN" not in outputs[0].read_text()
    assert len(gaps) == 4
    assert len(constraints) == 2
