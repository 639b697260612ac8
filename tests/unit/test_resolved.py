"""The study as it is run: what is written is read as the same study."""

import json

import pytest
import yaml

from ontogeny.about import readme, study_file
from ontogeny.paths import PROJECT
from ontogeny.study import load_study
from ontogeny.study.models import Study
from ontogeny.study.resolved import LONGEST_ARGUMENT, packed, resolved_study, unpacked

FILES = [PROJECT / "config.yaml", *sorted((PROJECT / "studies").glob("*.yaml"))]
CONFIGS = {path.stem: yaml.safe_load(path.read_text()) for path in FILES}
SCALES = [
    (name, scale) for name, config in CONFIGS.items() for scale in (None, *config.get("scales", {}))
]


def at_scale(name, scale):
    return load_study(CONFIGS[name] | ({"scale": scale} if scale else {}))


def same(study):
    """A study without what says how it was written, and what is in no result."""
    written = ("grid", "scale", "scales", "resources", "keep_checkpoints")
    return study.model_copy(update={key: Study.model_fields[key].default for key in written})


@pytest.mark.parametrize(("name", "scale"), SCALES)
def test_what_is_written_is_read_as_the_same_study(name, scale):
    study = at_scale(name, scale)
    text = study_file(resolved_study(study), f"results/{study.study}")
    read = yaml.safe_load(text)
    assert {"grid", "scale", "scales", "resources"} & set(read) == set()
    again = load_study(read)
    assert same(again) == same(study)
    assert list(again.runs) == list(study.runs)
    assert resolved_study(again) == resolved_study(study)
    assert study_file(resolved_study(again), f"results/{study.study}") == text


SMALL = {
    "study": "small",
    "downloads": {
        "texts": {"url": "https://example.org/t.zip"},
        "words": {"url": "https://example.org/words.csv"},
        "mine": {"url": "https://example.org/mine.csv", "path": "own/mine.csv"},
        "folder": {"url": "https://example.org/f.zip", "path": "own/f/"},
    },
    "corpora": {
        "c": {"source": "files", "files": ["download:texts/a/b.txt", "own/*.txt"]},
        "d": {"source": "files", "files": ["download:folder/x.txt"]},
    },
    "tokenizers": {"t": {"type": "bpe", "corpus": "c", "vocab_size": 300}},
    "architectures": {"a": {"model_type": "opt", "config": {"init_std": 1e-05, "layers": None}}},
    "probes": {
        "b": {
            "type": "binomials",
            "items": "download:words",
            "prompts": "download:mine",
            "references": {"human": {"weights": "download:texts/w.csv"}},
        }
    },
    "grid": [
        {
            "corpora": ["c", "d"],
            "architectures": ["a"],
            "tokenizers": ["t"],
            "seeds": [1, 2],
            "run": {"steps": 9, "block_size": 8, "batch_size": 2, "optimizer": {"lr": 1}},
        }
    ],
    "runs": {
        "a-c-2": {"optimizer": {"lr": 2}},
        "no": {"source": "scores", "probe": "b", "files": ["*"]},
    },
    "resources": {"train": {"threads": 7}},
    "keep_checkpoints": "none",
}


def test_the_grid_is_expanded_and_references_are_references_again():
    values = resolved_study(load_study(SMALL))
    assert list(values["runs"]) == ["a-c-1", "a-c-2", "a-d-1", "a-d-2", "no"]
    assert [run.get("optimizer") for run in values["runs"].values()] == [
        *({"lr": 1.0}, {"lr": 2.0}, {"lr": 1.0}, {"lr": 1.0}, None),
    ]
    assert values["corpora"] == SMALL["corpora"]
    assert values["probes"]["b"] == SMALL["probes"]["b"]
    assert values["downloads"] == SMALL["downloads"]
    assert "resources" not in values and "keep_checkpoints" not in values
    text = study_file(values, "results/small")
    assert same(load_study(yaml.safe_load(text))) == same(load_study(SMALL))
    assert "#   snakemake --cores all --configfile results/small/study.yaml" in text.splitlines()


def test_an_edit_shows_and_what_is_in_no_result_does_not():
    values = packed(resolved_study(load_study(SMALL)))
    other = {**SMALL, "resources": {"train": {"gpu": 1}}, "keep_checkpoints": "all"}
    assert packed(resolved_study(load_study(other))) == values
    probe = {**SMALL["probes"]["b"], "frequency_bins": 5}
    for key, value in {"probes": {"b": probe}, "study": "other"}.items():
        assert packed(resolved_study(load_study({**SMALL, key: value}))) != values


@pytest.mark.parametrize("count", [1, 5_000])
def test_a_long_study_is_a_short_argument(count):
    run = {"corpus": "text", "architecture": "opt-s", "seed": 1, "note": "it's é"}
    values = {"study": "x", "runs": {f"run-{number}": run for number in range(count)}}
    argument = packed(values)
    assert unpacked(argument) == values
    assert len(argument) <= LONGEST_ARGUMENT
    assert (argument == json.dumps(values)) == (count == 1)


# ---------------------------------------------------------------------------- README.md


@pytest.mark.parametrize(("name", "scale"), SCALES)
def test_the_readme_is_short_and_says_what_the_study_is(name, scale):
    study = at_scale(name, scale)
    text = readme(study, f"results/{study.study}", {"ontogeny": "0.1.0", "commit": "abc1234"})
    lines = text.splitlines()
    assert lines[0] == f"# {study.study}" and len(lines) <= 27
    assert "Made with ontogeny 0.1.0, commit abc1234." in " ".join(lines)
    assert f"snakemake --cores all --configfile results/{study.study}/study.yaml" in lines
    assert all(probe in text for probe in study.probes)
    assert max(map(len, lines)) <= 100
    assert str(PROJECT) not in text


def test_the_readme_counts_runs_and_names_what_they_are_made_of():
    hub = {"source": "hub", "model": "owner/name", "revisions": "r.csv", "tokenizer": "t"}
    study = load_study({**SMALL, "runs": {**SMALL["runs"], "far": hub}})
    text = readme(study, "results/small", {"ontogeny": "1"})
    assert " ".join(text.splitlines()[2:5]) == (
        "4 runs trained on 144 tokens (architecture a; corpus c, d; tokenizer t; seed 1, 2). "
        "1 run of published checkpoints (owner/name). 1 run of published scores. "
        "Checkpoints are scored on `b` (binomials). Made with ontogeny 1."
    )


def test_what_a_study_lacks_is_not_named():
    runs = {"no": SMALL["runs"]["no"]}
    text = readme(load_study({**SMALL, "grid": [], "runs": runs}), "results/small", {})
    assert "`scores/PROBE/RUN/`" in text
    for lacking in ("checkpoints/", "corpora/", "segments/", "exposures/", "trained"):
        assert lacking not in text
