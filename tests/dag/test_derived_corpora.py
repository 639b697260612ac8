"""Corpora that are made from others: what a study of them asks for, and what it refuses."""

import pytest
import yaml
from test_targets import OF_BINOMIALS, PROJECT

from ontogeny.study import load_study
from ontogeny.study.corpora import DerivedCorpus

INTERVENTIONS = PROJECT / "studies" / "interventions.yaml"
RUN_FIGURES = ("loss", "correlation", "relative_frequency", "thresholds", "coefficients")
REMOVE = {"source": "remove", "corpus": "toy", "items_from": "toy", "attested_only": True}
INSERT = {
    "source": "insert",
    "corpus": "without",
    "items_from": "toy",
    "templates": "data/toy/insertions.csv",
    "kind_column": "Kind",
    "counts": [0, 10],
}


@pytest.fixture
def derived(tiny):
    """The tiny study with a corpus of each kind; its runs read the mix."""
    tiny["corpora"] |= {
        "without": REMOVE,
        "inserted": INSERT,
        "part": {"source": "take", "corpus": "inserted", "words": 5_000},
        "mixed": {"source": "mix", "corpora": ["part", "without"], "bytes": 40_000},
    }
    for run in tiny["runs"].values():
        run["corpus"] = "mixed"
    return tiny


def test_the_study_of_interventions_asks_for_its_jobs(elsewhere):
    study = load_study(yaml.safe_load(INTERVENTIONS.read_text()))
    runs, corpora = len(study.runs), len(study.corpora)
    dry = elsewhere.dry_run("--configfile", str(INTERVENTIONS))
    expected = dict.fromkeys(["corpus", "toy_items", "tokenizer", "architecture", "index"], 1)
    expected |= {"derive": 2, "tokens": corpora, "occurrences": corpora}
    expected |= dict.fromkeys(["train_0", "score_0", "exposures", "losses", *OF_BINOMIALS], runs)
    expected |= {f"plot_{figure}": runs for figure in RUN_FIGURES}
    for once in ("comparisons", "seeds", "insertions", "about", "runs_table", "all"):
        expected[once] = 1
    for figure in ("overview", "seeds", "insertions", "insertion_curves"):
        expected[f"plot_{figure}"] = 1
    assert dry.counts == expected
    assert sum(isinstance(corpus, DerivedCorpus) for corpus in study.corpora.values()) == 2


def test_a_corpus_asks_for_those_that_it_is_made_from(elsewhere, derived):
    elsewhere.write(derived)
    path = "results/tiny/corpora/{}/train.parquet"
    without = {"corpus": 1, "toy_items": 1, "derive": 1}
    assert elsewhere.dry_run(path.format("without")).counts == without
    assert elsewhere.dry_run(path.format("inserted")).counts == without | {"derive": 2}
    assert elsewhere.dry_run("corpora").counts == without | {"derive": 4, "corpora": 1}


def test_no_table_of_insertions_without_runs_that_could_show_them(elsewhere, derived):
    elsewhere.write(derived)
    counts = elsewhere.dry_run().counts
    assert counts["insertions"] == counts["plot_insertions"] == 1
    assert "plot_insertion_curves" not in counts  # no run reads the corpus itself
    del derived["probes"]["binomials"]
    elsewhere.write(derived)
    assert "insertions" not in elsewhere.dry_run().counts


def test_mistakes_are_told_before_any_job(elsewhere, derived, tmp_path):
    items, templates = tmp_path / "items.csv", tmp_path / "templates.csv"
    counts = tmp_path / "counts.csv"
    items.write_text("Word1,Word2\nbread,butter\ncats,dogs\n")
    templates.write_text("template\nThe {binomial}.\nThe binomial.\n")
    counts.write_text("Word1,Word2,alpha,nonalpha\nbread,butter,1,0\ncat,dogs,1,0\n")
    own = {"items_from": None, "items": str(items)}
    derived["corpora"] |= {
        "slotless": INSERT | own | {"templates": str(templates), "kind_column": None},
        "unknown": INSERT | own | {"counts": [], "counts_file": str(counts), "kind_column": None},
        "chosen": REMOVE | own | {"attested_only": False, "only": ["bread and buter"]},
        "unattested": REMOVE | own,
    }
    elsewhere.write(derived)
    done = elsewhere.call("--dry-run")
    assert done.returncode != 0
    for line in (
        f"corpora.slotless: {templates}, line 3: 'The binomial.' should have {{binomial}} once",
        "corpora.unknown: there is no template for 'bread and butter', of kind ''",
        f"corpora.chosen: {items}: 'bread and buter' is none of its items; did you mean 'bread and",
        f"corpora.unattested: {items}: column 'Attested' is missing",
    ):
        assert line in done.stdout, done.stdout
    derived["corpora"]["unknown"]["templates"] = "data/prompts/insertions.csv"
    elsewhere.write(derived)
    line = f"corpora.unknown: {counts}, line 3: 'cat and dogs' is no item; did you mean 'cats and"
    assert line in elsewhere.call("--dry-run").stdout
    assert "Traceback" not in done.stdout


def test_circles_and_names_that_are_not_defined_are_told(elsewhere, derived):
    derived["corpora"]["without"] = REMOVE | {"corpus": "mixed"}
    derived["corpora"]["part"] = {"source": "take", "corpus": "toyy", "words": 9}
    derived["corpora"]["mixed"] = {
        "source": "mix",
        "corpora": ["part", "without"],
        "shares": [0, 1],
    }
    elsewhere.write(derived)
    assert "corpora.mixed: `shares` must be above 0, not [0.0, 1.0]" in elsewhere.call("-n").stdout
    del derived["corpora"]["mixed"]["shares"]
    elsewhere.write(derived)
    output = elsewhere.call("-n").stdout
    assert "corpora.without: it is made from itself: without from mixed from without" in output
    assert "corpora.part: corpus 'toyy' is not defined; did you mean 'toy'?" in output
    assert "2 errors" in output


def test_perplexity_on_a_mix_needs_held_out_text_of_its_parts(elsewhere, derived):
    derived["corpora"]["toy"]["holdout"] = {"share": 0}
    elsewhere.write(derived)
    line = "probes.held-out: corpus 'mixed' holds nothing out to measure perplexity on; set "
    assert line + "corpora.toy.holdout.share above 0" in elsewhere.call("-n").stdout
