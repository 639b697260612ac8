"""Published studies at the scale that shows that all of them runs, from nothing to figures."""

import math
import re

import polars as pl
import pytest

from ontogeny.paths import PROJECT

pytestmark = pytest.mark.workflow
NOTHING_TO_DO = "Nothing to be done"
OF_BINOMIALS = {"preferences", "correlations", "trajectories", "regressions", "deviations"} | {
    *("constraints", "items", "learning", "thresholds")
}
OF_PAIRS = {"minimal_pairs", "states", "paradigms", "failing", "bigram_tests", "bigram_classes"}
OF_ALL = {"losses", "perplexity"}
PAIRS_FIGURES = {"minimal_pairs", "paradigms", "entrenchment", "bigrams"}
BINOMIALS_FIGURES = {"correlation", "relative_frequency", "thresholds", "coefficients"}


class Results:
    """What a study has made."""

    def __init__(self, folder, runs):
        self.folder, self.runs = folder, runs

    def table(self, name, run=None):
        return pl.read_csv(self.folder / "tables" / (run or "") / f"{name}.csv")

    def names(self, kind, suffix):
        """Of the files of each run, and of all of them, without the suffix."""
        top = self.folder / kind
        return {
            path.relative_to(top).as_posix().removesuffix(suffix)
            for path in top.rglob(f"*{suffix}")
        }


def learns_words(results):
    """Every run of a study with a vocabulary of 1,024 begins with a uniform guess."""
    for run in results.runs:
        losses = results.table("losses", run)["loss"]
        assert losses[0] == pytest.approx(math.log(1_024), abs=0.15)
        assert losses[-20:].mean() < 4
        perplexity = results.table("perplexity", run).sort("step")["perplexity"]
        assert perplexity[-1] < perplexity[0] / 10


def binomials(results):
    learns_words(results)
    assert results.names("tables", ".csv") == {
        f"{run}/{table}" for run in results.runs for table in OF_BINOMIALS | OF_PAIRS | OF_ALL
    } | {"comparisons", "runs"}
    assert results.names("figures", ".png") == {
        f"{run}/{name}"
        for run in results.runs
        for name in {"loss", "perplexity"} | PAIRS_FIGURES | BINOMIALS_FIGURES
    } | {"overview"}
    for run in results.runs:
        files = sorted((results.folder / "scores/binomials" / run).iterdir())
        assert len(files) == 11  # every 40,000 tokens, step 0 and the last step
        assert all(pl.read_csv(file).height == 180 * 3 for file in files[::5])
        correlations = results.table("correlations", run)
        references = {"human", "truth", "relative_frequency", "relative_exposure"}
        assert set(correlations["reference"]) == references
        assert {f"attested-{n}of5" for n in range(1, 6)} < set(correlations["group"])
        last = correlations.filter(pl.col("tokens") == pl.col("tokens").max())
        (truth,) = last.filter(group="all", reference="truth").iter_rows(named=True)
        assert truth["n"] == 180
        assert truth["r_low"] > 0  # the order of words is being learned
        regressions = results.table("regressions", run)
        assert {"binomials"} == set(regressions["probe"])
    # C4 is read once, in its own order
    manifest = (results.folder / "logs/train/opt-125m-c4").rglob("*.log")
    assert list(manifest)


def stuck(results):
    learns_words(results)
    assert results.names("tables", ".csv") == {
        f"{run}/{table}" for run in results.runs for table in OF_PAIRS | OF_ALL
    } | {"seeds", "seed_agreement", "runs"}
    assert results.names("figures", ".png") == {
        f"{run}/{name}" for run in results.runs for name in {"loss", "perplexity"} | PAIRS_FIGURES
    } | {"seeds"}
    for run in results.runs:
        states = results.table("states", run)
        steps = [0, 1, 2, 4, 8, 16, 32, 64, 97, 128, 194, 256, 291, 388, 485, 488]
        assert states["step"].unique().sort().to_list() == steps
        assert states.height == 9 * len(steps)
        assert set(states["state"]) <= {"right", "wrong", "undecided"}
        assert "right" in set(states.filter(pl.col("step") == 488)["state"])  # one is learned
        tests = results.table("bigram_tests", run)
        assert {"early_separation", "end_separation"} <= set(tests["test"])
        kl = results.table("perplexity", run)
        assert kl.filter(pl.col("kl_bigram").is_null() | pl.col("kl_unigram").is_null()).is_empty()
        nearest = kl.sort("kl_unigram")["tokens"][0], kl.sort("kl_bigram")["tokens"][0]
        assert nearest[0] < nearest[1]  # first words, then pairs of words
    seeds = results.table("seeds")
    assert set(seeds["n_seeds"]) == {2}
    assert set(seeds["family"]) == {"opt-125m-babylm"}


def ablation(results):
    learns_words(results)
    assert results.names("tables", ".csv") == {
        f"{run}/{table}" for run in results.runs for table in OF_BINOMIALS | OF_ALL
    } | {"comparisons", "runs"}
    read = {
        run: pl.read_csv(results.folder / f"exposures/binomials/{run}.csv").filter(step=390)
        for run in results.runs
    }
    seen = pl.col("alpha_seen") + pl.col("nonalpha_seen")
    whole, ablated = (read[f"opt-125m-{corpus}"] for corpus in ("whole", "ablated"))
    assert whole.select(seen.sum()).item() > 1_000
    assert ablated.select(seen.sum()).item() == 0
    assert ablated["w1_total"].sum() > whole["w1_total"].sum() / 2  # the words are read
    groups = results.table("correlations", "opt-125m-ablated")["group"].unique().to_list()
    assert "seen" not in groups and {"all", "unseen"} <= set(groups)


def too_big_to_think(results):
    assert results.names("tables", ".csv") == {
        f"{run}/{table}" for run in results.runs for table in ("losses", "completions")
    } | {"capacity", "capacity_summary", "curves_arithmetic", "curves_capitals", "runs"}
    assert results.names("figures", ".png") == {
        f"{run}/{name}" for run in results.runs for name in ("loss", "completions")
    } | {"capacity", "capacity_arithmetic", "capacity_capitals"}
    # embeddings of 17 characters (capitals: 51) and four special tokens, one layer, three norms
    parameters = dict(results.table("capacity").select("run", "parameters").iter_rows())
    for run in results.runs:
        width, entries = int(run[1:3]), 55 if "capitals" in run else 21
        assert parameters[run] == entries * width + 6 * width**2 + 3 * width
        losses = results.table("losses", run)["loss"]
        assert losses[0] == pytest.approx(math.log(entries), abs=0.15)
        assert losses[-20:].mean() < losses[0] / 2
    last = {
        run: results.table("completions", run).filter(pl.col("step") == pl.col("step").max())
        for run in results.runs
    }
    for run, table in last.items():
        items = dict(table.select("class", "n").iter_rows())
        withheld = {"addition withheld": 2, "subtraction withheld": 2}
        sums = {"all": 200, "addition": 98, "subtraction": 98, **withheld}
        assert items == ({"all": 50} if "capitals" in run else sums)
    summary = results.table("capacity_summary").filter(statistic="end_accuracy", **{"class": "all"})
    seeds = dict(summary.select("family", "n_seeds").iter_rows())
    assert seeds == {
        "n14-arithmetic": 2,
        "n14-arithmetic-wd-1": 1,  # of one run
        "n28-arithmetic": 2,
        "n28-capitals": 1,
    }
    (mean,) = summary.filter(family="n28-arithmetic")["mean"]
    (ends,) = zip(
        *(last[f"n28-arithmetic-{n}"].filter(**{"class": "all"})["accuracy"] for n in (1, 2)),
        strict=True,
    )
    assert mean == pytest.approx(sum(ends) / 2)


STUDIES = {
    "ablation_houghton_2026": (ablation, ["opt-125m-whole", "opt-125m-ablated"]),
    "binomials_houghton_2026": (binomials, ["opt-125m-babylm", "opt-125m-c4"]),
    "stuck_manna_2026": (stuck, ["opt-125m-babylm-1", "opt-125m-babylm-2"]),
    "too_big_to_think_barron_2025": (
        too_big_to_think,
        [
            *("n14-arithmetic-1", "n14-arithmetic-2", "n28-arithmetic-1", "n28-arithmetic-2"),
            *("n14-arithmetic-wd-1", "n28-capitals"),
        ],
    ),
}

EMPTY = {
    "ablation_houghton_2026": {"opt-125m-ablated/deviations"},  # from what it has read: nothing
    "stuck_manna_2026": {"seed_agreement"},  # about binomials
}


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_at_small_scale(elsewhere, study):
    facts, runs = STUDIES[study]
    elsewhere.study.write_text((PROJECT / f"studies/{study}.yaml").read_text(encoding="utf-8"))
    small = ("--config", "scale=small")
    printed = elsewhere.make(*small)
    assert not re.search(r"\b(error|Traceback)\b", printed, re.I), printed
    assert [path.name for path in (elsewhere.folder / "results").iterdir()] == [f"{study}-small"]
    results = Results(elsewhere.folder / "results" / f"{study}-small", runs)
    facts(results)
    drawn = sorted((results.folder / "figures").rglob("*.png"))
    assert all(path.stat().st_size > 10_000 for path in drawn)
    assert results.names("figures", ".png") == results.names("figures", ".svg")
    empty = {name for name in results.names("tables", ".csv") if results.table(name).is_empty()}
    assert empty == EMPTY.get(study, set())
    assert NOTHING_TO_DO in elsewhere.call("--dry-run", *small).stdout
