"""Every key of a run and of a probe is in the views of just those jobs that depend on it."""

import pytest

from ontogeny.study import views
from ontogeny.study.models import Architecture
from ontogeny.study.probes import (
    BinomialsProbe,
    CompletionsProbe,
    MinimalPairsProbe,
    PerplexityProbe,
)
from ontogeny.study.runs import HubRun, Run, ScoresRun

PROBES = {
    "binomials": BinomialsProbe,
    "minimal_pairs": MinimalPairsProbe,
    "completions": CompletionsProbe,
    "perplexity": PerplexityProbe,
}
# Keys of no view: which runs and which corpus a probe is for decides which jobs there are, and the
# file of prompts is an input of its own.
ELSEWHERE = {"only_corpora", "corpus", "prompts"}
RUN = {"corpus": "c", "tokenizer": "t", "architecture": "a", "block_size": 8, "batch_size": 4}
OPT = Architecture(model_type="opt")


@pytest.mark.parametrize("kind", PROBES)
def test_every_key_of_a_probe_has_its_place(kind):
    """A key that is added must be put into the views of the jobs that it changes."""
    tables = (views.INDEXED, views.SCORED, views.ANALYSED)
    of_views = {key for table in tables for key in table.get(kind, ())}
    assert of_views | ELSEWHERE >= set(PROBES[kind].model_fields)
    assert of_views <= set(PROBES[kind].model_fields)


def test_what_only_tables_read_is_in_no_view_of_strings_and_scores():
    analysed = set(views.ANALYSED["binomials"]) - set(views.INDEXED["binomials"])
    assert analysed == {
        *("attested_column", "frequency_column", "frequency_bins", "exposure_bins"),
        *("references", "prior", "constraints", "responses"),
    }
    assert not analysed & set(views.SCORED["binomials"])


def test_every_key_of_a_run_has_its_place():
    """The budget is in the views as steps; `max_loss` and the segments change no result."""
    of_views = {*views.TRAINED, *views.ORDERED, *views.SCHEDULED[Run]}
    others = {"source", "tokens", "steps", "checkpoints", "max_loss"}
    assert of_views | others == set(Run.model_fields)
    assert {*views.SCHEDULED[HubRun], "block_size", "per_segment"} == set(HubRun.model_fields)
    assert {*views.SCHEDULED[ScoresRun]} == set(ScoresRun.model_fields)


CHANGES = {
    "corpus": "d",
    "tokenizer": "u",
    "architecture": "b",
    "seed": 1,
    "block_size": 16,
    "batch_size": 2,
    "sampling": "windows",
    "shuffle": False,
    "precision": "bf16",
    "optimizer": {"lr": 0.5},
    "steps": 11,
}


@pytest.mark.parametrize("key", CHANGES)
def test_each_key_of_the_weights_changes_what_a_run_is_trained_as(key):
    run = {**RUN, "steps": 10}
    before, after = (views.trained(Run(**keys), OPT) for keys in (run, run | {key: CHANGES[key]}))
    assert views.name_of(before) != views.name_of(after)


def test_weights_do_not_depend_on_when_they_are_kept():
    run = Run(**RUN, steps=10)
    same = [
        Run(**RUN, steps=10, checkpoints={"at": [3]}, max_loss=9.0),
        Run(**RUN, tokens=10 * 8 * 4 + 5),  # a step that is not whole is not taken
        Run(**RUN, steps=10, optimizer={"beta1": 0.9}),  # the default, written out
    ]
    assert {views.name_of(views.trained(r, OPT)) for r in [run, *same]} == {
        views.name_of(views.trained(run, OPT))
    }
    changed = Architecture(model_type="opt", config={"hidden_size": 8})
    assert views.trained(run, changed) != views.trained(run, OPT)


def test_the_order_of_data_does_not_depend_on_the_learning_rate_or_on_segments():
    run, other = Run(**RUN, steps=10), Run(**RUN, steps=10, optimizer={"lr": 0.5})
    assert views.ordered(run) == views.ordered(other)
    cut = Run(**RUN, steps=10, checkpoints={"per_octave": 1, "per_segment": 2})
    assert views.ordered(cut) == views.ordered(run)
    assert views.ordered(Run(**RUN, steps=10, checkpoints={"at": [3]})) != views.ordered(run)


BINOMIALS = {"type": "binomials", "references": {"r": {"column": "R"}}}


@pytest.mark.parametrize(
    "probe",
    [
        BinomialsProbe(**BINOMIALS, items="x.csv", max_prompts=2),
        BinomialsProbe(**BINOMIALS, items_from="toy"),
        MinimalPairsProbe(type="minimal_pairs", pairs="x.csv", sample={"pairs": 3}),
        MinimalPairsProbe(type="minimal_pairs", pairs_from="toy", precision="bf16"),
        CompletionsProbe(type="completions", items="x.csv", context=8, pattern="[0-9]+"),
        PerplexityProbe(type="perplexity", ngrams=True, max_tokens=7),
    ],
    ids=lambda probe: probe.type,
)
def test_a_view_of_a_probe_is_there_when_it_is_read_again(probe):
    for view in (views.indexed, views.scored):
        if view is views.indexed and probe.type == "perplexity":
            continue
        read = views.read_probe(views.as_json(view(probe)))
        assert type(read) is type(probe)
        for key in view(probe):
            assert getattr(read, key) == getattr(probe, key)
