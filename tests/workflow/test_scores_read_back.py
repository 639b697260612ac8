"""Score files that were written here are read back as those that somebody else has published."""

import shutil

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.workflow

STATISTICS = ["r", "r_low", "r_high", "accuracy", "accuracy_low", "accuracy_n", "tie_rate"]


def study_of(elsewhere, items, files, **run):
    """A study of score files, on the items of the tiny study's language."""
    return {
        "study": "tiny",
        "probes": {
            "binomials": {
                "type": "binomials",
                "items": str(items),
                "prompts": str(elsewhere.folder / "prompts.csv"),
                "references": {
                    "truth": {"column": "TruePreference", "midpoint": 0},
                    "human": {"column": "GenPref"},
                },
            }
        },
        "runs": {"back": {"source": "scores", "probe": "binomials", "files": [str(files)], **run}},
    }


def correlations(path):
    table = pd.read_csv(path)
    table = table[table["reference"].isin(["truth", "human"])]
    table = table[~table["group"].str.contains("seen")]  # what a run has read is not in scores
    return table.sort_values(["tokens", "group", "reference"], ignore_index=True)


@pytest.fixture
def of_study(finished, elsewhere):
    """Items, prompts, score files and correlations of a run of the tiny study."""
    scores = finished.results / "scores" / "binomials" / "fast"
    (elsewhere.folder / "own").mkdir()
    for path in scores.glob("*.csv"):
        shutil.copy(path, elsewhere.folder / "own")
    shutil.copy(next(scores.glob("*.csv")), elsewhere.folder / "prompts.csv")
    items = finished.results / "corpora" / "toy" / "items.csv"
    expected = correlations(finished.results / "tables" / "fast" / "correlations.csv")
    return items, expected


def assert_same(elsewhere, expected, atol=0.0):
    found = correlations(elsewhere.results / "tables" / "back" / "correlations.csv")
    keys = ["group", "reference", "step", "tokens", "n"]
    assert found[keys].equals(expected[keys])
    assert len(found) > 10
    for column in STATISTICS:
        np.testing.assert_allclose(found[column], expected[column], 0, atol, err_msg=column)


def test_a_study_s_own_score_files_give_the_same_correlations(of_study, elsewhere):
    items, expected = of_study
    elsewhere.write(study_of(elsewhere, items, elsewhere.folder / "own/step-*.csv"))
    elsewhere.make("tables")
    assert_same(elsewhere, expected)
    table = pd.read_csv(elsewhere.results / "tables/back/completeness.csv")
    files = {int(path.stem[5:]): path for path in (elsewhere.folder / "own").glob("*.csv")}
    assert table["step"].tolist() == sorted(files)
    for row in table.itertuples():
        scores = pd.read_csv(files[row.step])
        tied = scores["alpha_logprob"] == scores["nonalpha_logprob"]
        assert row.tie_rate == pytest.approx(tied.mean(), abs=1e-12)
    preferences = pd.read_csv(elsewhere.results / "tables/back/preferences.csv")
    shares = preferences.groupby("step")[["ties", "n"]].sum()
    assert (shares["ties"] / shares["n"]).tolist() == pytest.approx(table["tie_rate"].tolist())


def test_one_long_table_of_them_does_too(of_study, elsewhere):
    items, expected = of_study
    parts = [
        pd.read_csv(path, keep_default_na=False) for path in (elsewhere.folder / "own").iterdir()
    ]
    long = pd.concat(parts).sample(frac=1, random_state=0)
    long.to_csv(elsewhere.folder / "all.csv", index=False, sep=";")
    study = study_of(elsewhere, items, elsewhere.folder / "all.csv", steps_from="column")
    elsewhere.write(study)
    elsewhere.make("tables")
    assert_same(elsewhere, expected)


def test_files_of_the_scorer_do_too(of_study, finished, elsewhere, score, tokenizer_folder):
    """Two checkpoints as folders of a trainer: one told what it is, one not."""
    items, expected = of_study
    run = finished.results / "runs" / "fast"
    steps = sorted(expected["step"].unique())[-2:]
    tokens = dict(zip(expected["step"], expected["tokens"], strict=True))
    prompts = elsewhere.folder / "prompts.csv"
    (elsewhere.folder / "theirs").mkdir()
    for step in steps:
        model = elsewhere.folder / f"ckpt-{step}"
        shutil.copytree(run / "checkpoints" / f"step-{step:08d}", model)
        told = ("--step", step, "--tokens", tokens[step]) if step == steps[0] else ()
        rows, _ = score(model, items, "--tokenizer", tokenizer_folder, "--prompts", prompts, *told)
        assert {(row["model"], row["step"]) for row in rows} == {
            (f"ckpt-{step}", str(step) if told else "")
        }
        pd.DataFrame(rows).to_csv(elsewhere.folder / f"theirs/ckpt-{step}.csv", index=False)
    per_step = int(tokens[steps[0]] / steps[0])
    study = study_of(elsewhere, items, elsewhere.folder / "theirs/ckpt-*.csv")
    study["runs"]["back"] |= {"steps_from": "number", "tokens_per_step": per_step}
    elsewhere.write(study)
    elsewhere.make("tables")
    expected = expected[expected["step"].isin(steps)].reset_index(drop=True)
    assert_same(elsewhere, expected, 1e-4)  # of strings that are batched in another way


def test_a_published_list_in_any_order_is_read_as_published(elsewhere):
    """Two of eight pairs are not in alphabetical order. As published, preference and reference
    are of the order of the list; turned, both of the alphabetical one. r differs."""
    rng = np.random.default_rng(3)
    pairs = [("ants", "bees"), ("dogs", "cats"), ("eggs", "figs"), ("gold", "hats")]
    pairs += [("ink", "jam"), ("lids", "keys"), ("mice", "nuts"), ("oaks", "pins")]
    ratio = rng.normal(1, 1, size=8).round(3)
    here, there = np.exp(ratio), np.ones(8)
    items = pd.DataFrame(pairs, columns=["word1", "word2"]).assign(p_here=here, p_there=there)
    items.to_csv(elsewhere.folder / "items.csv", index=False)
    names = [" and ".join(pair) for pair in pairs]
    preference = {step: (ratio + rng.normal(1, 1, size=8)).round(3) for step in (10, 20)}
    for step, values in preference.items():
        scores = pd.DataFrame({"prompt": " ", "binom": names, "alpha_logprob": values - 30})
        scores = scores.assign(nonalpha_logprob=-30.0, tokens=step)
        scores.to_csv(elsewhere.folder / f"olmo_step-{step}.csv", index=False)
    probe = {"type": "binomials", "items": str(elsewhere.folder / "items.csv")}
    probe |= {"prompts": str(elsewhere.folder / "olmo_step-10.csv"), "frequency_bins": 0}
    probe |= {"word1": "word1", "word2": "word2"}
    probe["references"] = {"bigram": {"log_ratio": ["p_here", "p_there"]}}
    run = {"source": "scores", "files": [str(elsewhere.folder / "olmo_step-*.csv")]}
    study = {"study": "tiny", "probes": {"turned": probe}}
    study["probes"]["published"] = {**probe, "order": "first"}
    study["runs"] = {name: {**run, "probe": name} for name in study["probes"]}
    elsewhere.write(study)
    output = elsewhere.make("tables")
    assert "2 of 8 pairs are not in alphabetical order, the first is 'dogs and cats'" in output
    sign = np.array([1 if first < second else -1 for first, second in pairs])
    for name, signs in (("published", np.ones(8)), ("turned", sign)):
        folder = elsewhere.results / "tables" / name
        table = pd.read_csv(folder / "correlations.csv").query("group == 'all'")
        for step, r in zip(table["step"], table["r"], strict=True):
            expected = np.corrcoef(signs * preference[step], signs * ratio)[0, 1]
            assert r == pytest.approx(expected, abs=1e-6), (name, step)
        preferences = pd.read_csv(folder / "preferences.csv")
        assert ("given" in preferences) == (name == "turned")
        given = preferences["given" if name == "turned" else "binom"]
        assert given.tolist() == names * 2
    assert "cats and dogs" in preferences["binom"].tolist()
