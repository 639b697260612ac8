"""Probes that are for runs on some corpora only."""

import re

import pytest

PROBES = ("binomials", "grammar", "held-out")


@pytest.fixture
def two_corpora(tiny):
    """The run `slow` on the corpus `toy`, `fast` on `other`."""
    tiny["corpora"]["other"] = {**tiny["corpora"]["toy"], "seed": 1}
    tiny["runs"]["fast"]["corpus"] = "other"
    return tiny


def scored(dry):
    """Probes of which files are made, by run."""
    files = re.findall(r"results/tiny/scores/([^/]+)/([^/]+)/step-00000004.csv", dry.output)
    runs = {run: {probe for probe, of in files if of == run} for _, run in files}
    return {run: sorted(probes) for run, probes in runs.items()}


def score_jobs(dry):
    """Of two runs in two segments."""
    return sum(n for rule, n in dry.counts.items() if rule.startswith("score_"))


def test_without_it_every_run_is_scored_on_every_probe(elsewhere, two_corpora):
    elsewhere.write(two_corpora)
    dry = elsewhere.dry_run("scores")
    assert scored(dry) == {"slow": sorted(PROBES), "fast": sorted(PROBES)}
    assert score_jobs(dry) == 4


def test_a_run_on_another_corpus_has_no_scores_of_the_probe(elsewhere, two_corpora):
    two_corpora["probes"]["grammar"]["only_corpora"] = ["other"]
    elsewhere.write(two_corpora)
    dry = elsewhere.dry_run("scores")
    assert scored(dry) == {"slow": ["binomials", "held-out"], "fast": sorted(PROBES)}
    assert score_jobs(dry) == 4
    dry = elsewhere.dry_run("tables")
    tables = set(re.findall(r"results/tiny/tables/([^/]+)/minimal_pairs.csv", dry.output))
    assert tables == {"fast"}
    dry = elsewhere.dry_run("figures")
    assert dry.counts["plot_minimal_pairs"] == 1 and dry.counts["plot_perplexity"] == 2


@pytest.mark.parametrize("probe", PROBES)
def test_each_kind_of_probe_may_be_for_one_corpus(elsewhere, two_corpora, probe):
    two_corpora["probes"][probe]["only_corpora"] = ["toy"]
    elsewhere.write(two_corpora)
    others = sorted(set(PROBES) - {probe})
    assert scored(elsewhere.dry_run("all")) == {"slow": sorted(PROBES), "fast": others}


def test_a_run_that_no_probe_is_for_is_trained_and_not_scored(elsewhere, two_corpora):
    for probe in PROBES:
        two_corpora["probes"][probe]["only_corpora"] = ["toy"]
    elsewhere.write(two_corpora)
    dry = elsewhere.dry_run("all")
    assert scored(dry) == {"slow": sorted(PROBES)}
    assert {"Train slow to step 200", "Train fast to step 200"} <= set(dry.jobs)
    assert dry.counts["plot_loss"] == 2 and dry.counts["plot_perplexity"] == 1
    assert score_jobs(dry) == 2


def test_a_corpus_that_is_not_there_is_named(elsewhere, two_corpora):
    two_corpora["probes"]["grammar"]["only_corpora"] = ["othr"]
    elsewhere.write(two_corpora)
    done = elsewhere.call("--dry-run")
    assert done.returncode == 1
    message = "probes.grammar.only_corpora: corpus 'othr' is not defined; did you mean 'other'?"
    assert message in done.stdout
