"""A file that is not what was written is not read: of every kind that a study makes, whoever reads
it next says which file, and that it is made again when it is removed."""

import json
import re
import shutil

import numpy as np
import pytest
import torch

from ontogeny.analysis.correlations import COLUMNS as CORRELATIONS
from ontogeny.analysis.scores import (
    PREFERENCES,
    read_perplexity_score,
    read_preference_table,
    read_preferences,
    read_scores,
)
from ontogeny.corpus.splits import read_documents
from ontogeny.corpus.tokenizer import load_tokenizer
from ontogeny.corpus.tokens import read_tokens
from ontogeny.exposure.counts import read_exposures
from ontogeny.exposure.occurrences import read_occurrences
from ontogeny.figures import tables as figures
from ontogeny.files import read_json
from ontogeny.manifests import read_manifest
from ontogeny.scoring.index import load_index
from ontogeny.scoring.records import require_as_scored
from ontogeny.scoring.stimuli.binomials import read_words
from ontogeny.scoring.stimuli.minimal_pairs import read_minimal_pairs
from ontogeny.study.runs import Run
from ontogeny.tables import read_table
from ontogeny.training.optimizer import make_optimizer
from ontogeny.training.order import sequences_of
from ontogeny.training.state import load_state

pytestmark = pytest.mark.workflow

RUN = {"corpus": "toy", "tokenizer": "bpe", "architecture": "opt", "steps": 9, "block_size": 32}
RUN = Run(**RUN, batch_size=8, sampling="documents")


def state(path):
    model = torch.nn.Linear(1, 1)
    return load_state(path, model, make_optimizer(model, RUN.optimizer))


# Each kind of file, and who reads it.
READERS = {
    "corpora/toy/train.parquet": lambda path: list(read_documents(path)),
    "corpora/toy/validation.parquet": lambda path: list(read_documents(path)),
    "corpora/toy/provenance.json": read_json,
    "corpora/toy/items.csv": read_words,
    "corpora/toy/pairs.csv": read_minimal_pairs,
    "tokenizers/bpe/tokenizer.json": load_tokenizer,
    "tokenizers/bpe/tokenizer_config.json": lambda path: load_tokenizer(
        path.with_name("tokenizer.json")
    ),
    "tokens/toy/bpe/train.bin": lambda path: read_tokens(path, "uint16"),
    "tokens/toy/bpe/validation.bin": lambda path: read_tokens(path, "uint16"),
    "tokens/toy/bpe/train.documents.npy": lambda path: sequences_of(RUN, 10**6, path),
    "tokens/toy/bpe/meta.json": read_json,
    "index/binomials/bpe.safetensors": load_index,
    "index/grammar/bpe.safetensors": load_index,
    "architectures/opt/bpe.json": read_json,
    "runs/fast/state/0001.safetensors": state,
    "runs/fast/segments/0000.manifest.json": read_manifest,
    "runs/fast/segments/0000.losses.csv": lambda path: read_table(path, {"step": "int"}),
    "occurrences/binomials/toy/bpe.parquet": lambda path: list(read_occurrences(path, [])),
    "exposures/binomials/fast.csv": read_exposures,
    "bigrams/grammar/fast/classes.csv": lambda path: read_table(path, {}),
    "bigrams/grammar/fast/pairs.csv": lambda path: read_table(path, {}),
    "tables/fast/preferences.csv": read_preference_table,
    "tables/fast/minimal_pairs.csv": lambda path: read_table(path, {}),
    "tables/fast/correlations.csv": lambda path: read_table(path, CORRELATIONS),
    "tables/fast/losses.csv": lambda path: figures.read_table(path, figures.LOSSES),
    "scores/binomials/fast/step-00000050.csv": lambda path: read_preferences(
        {50: str(path)}, [], "fast", "binomials"
    ),
    "scores/grammar/fast/step-00000050.csv": lambda path: read_scores([str(path)]),
    "scores/held-out/fast/step-00000050.csv": lambda path: (
        require_as_scored([str(path)]),
        read_perplexity_score(str(path)),
    ),
}


def cut(data):
    del data[len(data) // 2 :]


def zeroed(data):
    data[:] = bytes(len(data))


def one_bit(data):
    data[len(data) // 3] ^= 1


@pytest.fixture(scope="module")
def results(finished, tmp_path_factory):
    """A copy of the finished study's results, each file of which is put back after a test."""
    folder = tmp_path_factory.mktemp("integrity") / "results" / "tiny"
    shutil.copytree(finished.results, folder)
    return folder


@pytest.mark.parametrize("how", [cut, zeroed, one_bit], ids=lambda how: how.__name__)
@pytest.mark.parametrize("file", READERS)
def test_a_file_that_is_not_what_was_written_is_named_by_its_reader(results, file, how):
    path = results / file
    whole = path.read_bytes()
    data = bytearray(whole)
    how(data)
    path.write_bytes(data)
    try:
        with pytest.raises(ValueError, match=re.escape(str(path))) as raised:
            READERS[file](path)
        assert "is not what was written" in str(raised.value)
        assert "remove it to make it again" in str(raised.value)
    finally:
        path.write_bytes(whole)


def test_every_file_of_a_study_is_on_record_or_in_a_manifest(finished):
    """But logs, times, figures for people, and the configuration beside weights."""
    listed = set()
    for manifest in finished.results.glob("runs/*/segments/*.manifest.json"):
        folder = manifest.parents[1] / "checkpoints"
        for entry in json.loads(manifest.read_text())["checkpoints"]:
            listed.add(folder / entry["checkpoint"] / "model.safetensors")
    for scores in finished.results.glob("runs/*/segments/*.scores.json"):
        listed |= {finished.folder / name for name in json.loads(scores.read_text())}
    left = [
        path
        for path in finished.results.rglob("*")
        if path.is_file()
        and path not in listed
        and not {".origins", "logs", "benchmarks"} & set(path.relative_to(finished.results).parts)
        and path.name != "config.json"
        and not (path.parent / ".origins" / f"{path.name}.json").exists()
    ]
    assert left == []


def test_reading_a_whole_file_says_nothing(results):
    read_table(results / "tables/fast/preferences.csv", PREFERENCES)
    assert len(np.asarray(read_tokens(results / "tokens/toy/bpe/train.bin", "uint16")))
