"""How many exposures items needed, where that was planted, and where it can't be told."""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from planted_items import by_term, make_items, observed, some_counts, tables_of
from scipy import stats
from scipy.special import expit

from ontogeny.analysis.learning import (
    CURVE_COLUMNS,
    ITEM_COLUMNS,
    clustered_mean,
    clustered_share,
    correctness,
    item_table,
    learning_curve,
    settled_at,
)
from ontogeny.analysis.thresholds import (
    COLUMNS,
    explained,
    fieller,
    held_out_errors,
    logistic_curve,
    survival,
    thresholds,
)
from ontogeny.paths import PROJECT, Paths
from ontogeny.study.probes import BinomialsProbe

# ---------------------------------------------------------------------------- items


def test_an_item_settles_where_it_is_right_to_the_end():
    correct = np.array(
        [
            [1, 0, 1, 0, 0.5, 1],
            [1, 1, 0, 0, 1, 1],
            [1, 1, 1, 0, 1, 0.5],
        ]
    )
    assert settled_at(correct).tolist() == [0, 1, 2, 3, 1, 3]
    assert settled_at(np.array([[0.0, 1.0]])).tolist() == [1, 0]


def test_the_row_of_each_item():
    # checkpoints at steps 0, 2, 9; items: learned at once, learned late after a relapse, never
    # learned, never seen, seen as often in both orders
    alpha = np.array([[0, 0, 0, 0, 0], [3, 0, 1, 0, 1], [5, 1, 6, 0, 2]])
    nonalpha = np.array([[0, 0, 0, 0, 0], [0, 4, 0, 0, 0], [0, 9, 2, 0, 2]])
    preference = np.array(
        [[0.1, -0.2, 0.1, 1.0, 1.0], [0.5, 0.3, -0.1, 1.0, 1.0], [2.0, -3.0, 0.0, 1.0, 1.0]]
    )
    prior = np.array([0.7, 0.2, np.nan, 0.5, 0.5])
    names = [("Al", "Bo"), ("c./d.", "e."), ("f", "g"), ("h", "i"), ("j", "k")]
    seen = observed(preference, alpha, nonalpha, prior, attested=3, steps=[0, 2, 9], names=names)
    table = item_table(seen)
    assert table.columns == list(ITEM_COLUMNS)
    rows = table.rows(named=True)
    assert table["binom"].to_list() == [f"{a} and {b}" for a, b in names]
    assert table["attested"].to_list() == [1, 1, 1, 0, 0]
    assert table["attested_in_corpus"].to_list() == [1, 1, 1, 0, 1]
    assert table["majority"].to_list() == ["alpha", "nonalpha", "alpha", None, None]
    assert table["learned"].to_list() == [1, 1, 0, None, None]
    assert table["censored"].to_list() == [0, 0, 1, None, None]
    assert table["settled_tokens"].to_list() == [0, 9000, None, None, None]
    assert table["settled_exposure"].to_list() == [0, 10, None, None, None]
    assert table["exposure_before"].to_list() == [0, 4, 8, None, None]
    assert table["first_correct_tokens"].to_list() == [0, 0, 0, None, None]
    assert table["first_correct_exposure"].to_list() == [0, 0, 0, None, None]
    assert table["prior"].to_list() == [0.7, 0.2, None, 0.5, 0.5]
    assert rows[0]["relative_exposure"] == 5.5 / 6
    assert rows[1]["log_ratio"] == pytest.approx(np.log(1.5 / 9.5))
    assert (rows[3]["relative_exposure"], rows[3]["log_ratio"]) == (0.5, 0.0)
    assert (rows[1]["alpha_seen"], rows[1]["nonalpha_seen"]) == (1, 9)


# ---------------------------------------------------------------------------- by exposure


def test_items_that_were_never_seen_may_come_first_and_be_many():
    alpha = np.array([[0] * 150 + [3]])
    table = item_table(observed(np.ones((1, 151)), alpha, 0 * alpha))
    assert table["majority"].to_list() == [None] * 150 + ["alpha"]
    assert table["learned"].to_list() == [None] * 150 + [1]


def test_the_bins_of_the_learning_curve():
    alpha = np.array([[0, 0, 0], [1, 2, 0], [3, 4, 0], [9, 7, 0]])
    preference = np.array([[1.0, -2, 5], [1, 0, 5], [-3, 2, 5], [4, 2, 5]])
    table = learning_curve(observed(preference, alpha, np.zeros(3)))
    assert table.columns == list(CURVE_COLUMNS)
    bins = table.select("exposure_low", "exposure_high", "n", "n_items", "correct", "preference")
    assert bins.rows() == [
        (0, 0, 2, 2, 0.5, -0.5),
        (1, 1, 1, 1, 1.0, 1.0),
        (2, 3, 2, 2, 0.25, -1.5),  # wrong, and a tie
        (4, 7, 2, 1, 1.0, 2.0),
        (8, 15, 1, 1, 1.0, 4.0),
    ]
    assert table["mean_exposure"].to_list() == [0, 1, 2.5, 5.5, 9]
    alone = table.row(1, named=True)
    assert (alone["preference_lo"], alone["preference_hi"]) == (None, None)
    assert alone["correct_lo"] == pytest.approx(0.206549, abs=1e-5)  # Wilson, 1 of 1
    empty = learning_curve(observed(preference, np.zeros(3), np.zeros(3)))
    assert empty.select("exposure_low", "n", "n_items", "correct").rows() == [(0, 0, 0, None)]


def test_a_mean_by_item_has_the_clustered_error_of_statsmodels():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 40)) + rng.normal(size=40)
    chosen = rng.random((6, 40)) < 0.4
    mean, low, high = clustered_mean(values, chosen)
    groups = np.tile(np.arange(40), (6, 1))[chosen]
    theirs = sm.OLS(values[chosen], np.ones(chosen.sum())).fit(
        cov_type="cluster", cov_kwds={"groups": groups}
    )
    items = len(np.unique(groups))
    assert mean == pytest.approx(theirs.params[0])
    half = stats.t.ppf(0.975, items - 1) * theirs.bse[0]
    assert (high - low) / 2 == pytest.approx(half)


@pytest.mark.parametrize(
    ("truth", "items", "own"), [(0.5, 30, 0.9), (0.9, 30, 0.5), (0.97, 60, 0.0)]
)
def test_a_share_by_item_holds_the_truth(truth, items, own):
    """`own`: the share of items that are right or wrong in all of their rows."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        right = rng.random((8, items)) < truth
        right = np.where(rng.random(items) < own, right[0], right)
        _, low, high = clustered_share(right.astype(float), rng.random((8, items)) < 0.7)
        held += low <= truth <= high
    assert held / 400 >= 0.93
    assert held / 400 < 1 or own == 0


def test_a_share_that_hangs_on_few_of_the_items_is_as_uncertain_as_they_are():
    """Six items have most of the rows, and are right or wrong in all of them."""
    rng = np.random.default_rng(2)
    often = np.arange(46) < 6
    held = 0
    for _ in range(400):
        right = np.tile(rng.random(46) < 0.5, (30, 1))
        chosen = often | (np.arange(30) == 0)[:, None]
        _, low, high = clustered_share(right.astype(float), chosen)
        held += low <= 0.5 <= high
    assert held / 400 >= 0.92


def test_a_share_of_few_items_is_never_certain():
    one = np.ones((5, 3))
    share, low, high = clustered_share(one, one > 0)
    assert (share, high) == (1, 1)
    assert low == pytest.approx(3 / (3 + stats.norm.ppf(0.975) ** 2))  # Wilson, 3 of 3
    two = np.zeros((500, 2))
    two[0, 0] = 1.0  # the two differ so little that their own error is all but 0
    assert clustered_share(two, two >= 0)[2] > 0.3


# ---------------------------------------------------------------------------- thresholds


def flipping(rng, items, checkpoints=12, a=-0.5, b=0.8):
    """Items with a level of their own that comes to 0 at an exposure: P(right) = expit(a + b x)."""
    final = np.exp(rng.normal(3, 1.5, items)).astype(int) + 1
    counts = (np.linspace(0, 1, checkpoints)[:, None] * final).round()
    level = a + b * np.log(counts + 1) + rng.logistic(size=items)
    side = rng.choice([-1, 1], items)
    alpha = np.where(side > 0, counts, 0)
    return observed(side * level, alpha, counts - alpha)


def curve_of(seen):
    members = np.arange(len(seen.items))
    return logistic_curve(correctness(seen, members), np.log(seen.exposures.total + 1))


def test_a_planted_curve_comes_back():
    table = thresholds(flipping(np.random.default_rng(2), 1500))
    assert table.columns == list(COLUMNS)
    found = by_term(table, model="correct")
    assert found["intercept"]["estimate"] == pytest.approx(-0.5, abs=0.25)
    assert found["log_exposure"]["estimate"] == pytest.approx(0.8, abs=0.1)
    for share in (0.6, 0.75, 0.9):
        row = found[f"exposure_at_{share:g}"]
        truth = np.exp((np.log(share / (1 - share)) + 0.5) / 0.8) - 1
        assert row["lo"] < truth < row["hi"]
        assert row["hi"] < 2 * row["lo"]
    assert (found["intercept"]["n"], found["intercept"]["n_items"]) == (1500 * 12, 1500)
    assert by_term(table, model="correct_at_end")["intercept"]["n"] == 1500


def test_thresholds_hold_the_truth_in_95_of_100_data_sets():
    rng = np.random.default_rng(3)
    truth = np.exp((np.log(3) + 0.5) / 0.8) - 1
    held = told = 0
    for _ in range(200):
        _, _, low, high = curve_of(flipping(rng, 120, 8))[3]
        if low is not None:
            told += 1
            held += low <= truth and (high is None or truth <= high)
    assert told > 190
    assert 0.91 <= held / told <= 0.99


def test_no_threshold_where_exposure_does_nothing():
    rng = np.random.default_rng(4)
    told = falls = 0
    for _ in range(100):
        _, slope, _, at, _ = curve_of(flipping(rng, 60, 8, a=0.2, b=0.0))
        told += at[1] is not None
        falls += slope[3] < 0
    assert told + falls <= 12
    down = by_term(thresholds(flipping(rng, 400, a=2.0, b=-0.8)), model="correct")
    assert down["log_exposure"]["hi"] < 0
    assert down["exposure_at_0.6"]["estimate"] is None


def test_a_share_that_is_reached_without_exposure_is_reached_at_0():
    found = by_term(
        thresholds(flipping(np.random.default_rng(5), 1000, a=1.0, b=0.5)), model="correct"
    )
    row = found["exposure_at_0.6"]
    assert (row["estimate"], row["lo"], row["hi"]) == (0, 0, 0)


def test_fieller_is_the_set_of_levels_that_are_not_rejected():
    estimate, covariance = np.array([-0.4, 0.5]), np.array([[0.04, -0.012], [-0.012, 0.01]])
    x, low, high = fieller(1.1, estimate, covariance, 2.0)
    assert x == pytest.approx(1.5 / 0.5)
    grid = np.linspace(-20, 60, 800_001)
    error = np.sqrt(covariance[0, 0] + 2 * grid * covariance[0, 1] + grid**2 * covariance[1, 1])
    kept = grid[np.abs(1.1 - estimate @ np.stack([np.ones_like(grid), grid])) <= 2 * error]
    assert (low, high) == pytest.approx((kept.min(), kept.max()), abs=2e-4)
    assert fieller(1.1, estimate, covariance, 5.1) == (None, None, None)  # .5 is 5 errors
    assert fieller(1.1, np.array([0.4, -0.5]), covariance, 2.0) == (None, None, None)


def test_the_median_exposure_counts_items_that_never_settle():
    # exposures at which they settle: 2, 4, 4, 6; never: 5, 9 (and then at most 5 of 7 are left)
    total = np.array([[0, 0, 0, 0, 0, 0, 0], [2, 4, 4, 3, 5, 9, 8], [3, 9, 9, 6, 5, 9, 8]])
    correct = np.array([[0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 1, 0, 1], [1, 1, 1, 1, 0, 0, 1]])
    rows = {row[0]: row[1:] for row in survival(correct.astype(float), total.astype(float))}
    assert rows["share_settled"][0] == pytest.approx(5 / 7)
    # Kaplan and Meier: after 2: 6/7; after 4: 6/7 x 4/6 = 4/7; after 6 (3 left): 4/7 x 2/3 < 1/2
    assert rows["median_exposure"][0] == 6
    none = survival(np.zeros((2, 5)), np.ones((2, 5)))
    assert none[1] == ("median_exposure", None, None, None)
    assert none[0][1] == 0
    assert survival(np.zeros((2, 0)), np.zeros((2, 0)))[0] == ("share_settled", None, None, None)


def test_the_interval_of_the_median_holds_the_truth():
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(200):
        needed = rng.exponential(50, 80)  # median 50 ln 2
        final = rng.uniform(40, 200, 80)
        total = np.linspace(0, 1, 200)[:, None] * final
        rows = survival((total >= needed).astype(float), total)
        _, _, low, high = rows[1]
        held += low <= 50 * np.log(2) <= (high or np.inf)
    assert 0.9 <= held / 200 <= 0.99


# ---------------------------------------------------------------------------- predictability


def world(rng, frequency, constraint, items=300):
    """Preferences at the end from the log ratio, or from two constraints."""
    alpha, nonalpha = some_counts(rng, items)
    ratio = np.log((alpha + 0.5) / (nonalpha + 0.5))
    values = {"Form": rng.normal(size=items), "Len": rng.normal(size=items)}
    prior = expit(values["Form"] - values["Len"])
    preference = frequency * ratio + constraint * (values["Form"] - values["Len"])
    preference = preference + rng.normal(size=items)
    return observed(preference[None], alpha, nonalpha, prior, constraints=values)


def test_a_world_of_frequency_and_one_of_constraints():
    rng = np.random.default_rng(7)
    counted = by_term(thresholds(world(rng, 1.0, 0.0)), model="cross_validation", items="seen")
    assert counted["r2_frequency"]["lo"] > 0.5
    assert counted["r2_constraints"]["estimate"] < 0.02
    assert counted["gain_constraints_over_frequency"]["lo"] < 0
    assert counted["gain_constraints_over_frequency"]["estimate"] < 0.01
    assert counted["gain_frequency_over_constraints"]["lo"] > 0.5
    ruled = by_term(thresholds(world(rng, 0.0, 1.0)), model="cross_validation", items="all")
    assert ruled["r2_frequency"]["estimate"] < 0.02
    assert ruled["r2_constraints"]["estimate"] == pytest.approx(2 / 3, abs=0.08)  # 2 of 2 + 1
    assert ruled["gain_constraints_over_frequency"]["lo"] > 0.5
    assert ruled["gain_prior_over_frequency"]["lo"] > 0.4
    assert ruled["r2_constraints"]["n_items"] == 300


def test_held_out_errors():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(200, 3))
    exact = held_out_errors(x @ [1.0, 2, 3] + 4, list(x.T))
    assert exact == pytest.approx(np.zeros(200), abs=1e-20)
    noise = rng.normal(size=200)
    # the mean of others: sigma^2 (1 + 1 / 180)
    assert held_out_errors(noise, []).mean() == pytest.approx(
        noise.var(ddof=1) * 181 / 180, rel=0.01
    )
    useless = explained(
        held_out_errors(noise, []), held_out_errors(noise, list(x.T)), held_out_errors(noise, [])
    )
    assert useless[0] < 0.03
    assert np.array_equal(held_out_errors(noise, list(x.T)), held_out_errors(noise, list(x.T)))
    assert held_out_errors(noise[:9], []) is None
    assert held_out_errors(noise[:11], list(x[:11].T)) is not None
    assert held_out_errors(noise[:11], [*x[:11].T, noise[:11] ** 2, noise[:11] ** 3]) is None


def test_what_is_explained_has_an_interval_over_items():
    before, after, guess = np.array([4.0, 2, 6]), np.array([1.0, 2, 3]), np.array([5.0, 3, 7])
    share, low, high = explained(before, after, guess)
    assert share == 6 / 15
    rest = (before - after) - share * guess
    half = 4.302653 * np.sqrt((rest**2).sum() * 3 / 2) / 15  # t with 2 degrees of freedom
    assert (low, high) == pytest.approx((share - half, share + half))
    assert explained(before, None, guess) == (None, None, None)
    assert explained(before, after, np.zeros(3)) == (None, None, None)


@pytest.mark.parametrize("steps", [[0], [0, 4]])
def test_where_nothing_can_be_told_all_is_null(steps):
    nothing = np.zeros((len(steps), 6))
    table = thresholds(observed(nothing + 1.0, nothing, nothing, steps=steps))
    assert table["estimate"].null_count() == len(table)
    assert set(table["n_items"]) == {0, 6}
    assert logistic_curve(np.zeros((2, 5)), np.zeros((2, 5)))[0] == ("intercept", None, None, None)
    equal = observed(nothing, nothing + 3, nothing + 3, steps=steps)
    assert item_table(equal)["learned"].null_count() == 6


# ---------------------------------------------------------------------------- the script


def test_the_script(tmp_path):
    paths = Paths(str(tmp_path / "study"))
    rng = np.random.default_rng(9)
    words = [(f"a{i:02d}", f"b{i:02d}") for i in range(24)]
    stimuli = tmp_path / "items.csv"
    stimuli.write_text(
        "Word1,Word2,OverallFreq,GenPref,Attested\n"
        + "".join(f"{a},{b},5,0.{i + 10},1\n" for i, (a, b) in enumerate(words))
    )
    counts = np.stack([np.zeros((24, 2), int), rng.integers(0, 30, (24, 2))])
    preferences, exposures = tables_of(make_items(24, names=words), counts, [0, 2])
    preferences = preferences.with_columns(preference=pl.Series(rng.normal(size=48)))
    order = ["run", "checkpoint", "step", "tokens", "binom", "alpha_seen", "nonalpha_seen"]
    order += ["w1_total", "w2_total", "w1_and", "w2_and", "and_w1", "and_w2"]
    exposures = exposures.with_columns(run=pl.lit("r")).select(order)
    for path, table in (
        (paths.run_table("r", "preferences"), preferences),
        (paths.exposures("p", "r"), exposures),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        table.write_csv(path)
    references = {"human": {"column": "GenPref"}}
    probe = BinomialsProbe(type="binomials", items=str(stimuli), references=references)
    outputs = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv")]
    done = subprocess.run(
        [
            *(sys.executable, PROJECT / "scripts/learning.py", "--study-folder", paths.root),
            *("--name", "r", "--trained", "--probe", "p", probe.model_dump_json(), stimuli),
            *("--output", outputs[0], "--learning", outputs[1], "--thresholds", outputs[2]),
        ],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    columns = [list(pl.read_csv(path).columns) for path in outputs]
    assert columns == [list(ITEM_COLUMNS), list(CURVE_COLUMNS), list(COLUMNS)]
    assert len(pl.read_csv(outputs[0])) == 24
    assert not any("NaN" in path.read_text() for path in outputs)
