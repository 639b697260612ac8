"""The model card: what it tells of a run on a mixed text, line by line."""

import json
import re

import pytest
from pydantic import TypeAdapter, ValidationError

from ontogeny.published.card import Card, shown_section
from ontogeny.study.corpora import FilesCorpus, MixCorpus, TakeCorpus, ToyCorpus
from ontogeny.study.derivation import sources_of
from ontogeny.study.section import Name
from publish import sections_of

FILES = {"source": "files", "files": ["download:texts/wiki.train", "own/mine.txt"]}
SPEC = {
    "run": {"corpus": "mixed", "tokenizer": "bpe", "architecture": "llama", "steps": 20}
    | {"block_size": 8, "batch_size": 4},
    "architecture": {"model_type": "llama"},
    "corpus": {"source": "mix", "corpora": ["wiki", "talk"], "bytes": 1000},
    "tokenizer": {"type": "bpe", "corpus": "mixed"},
    "sources": {"wiki": FILES, "talk": {"source": "toy", "words": 100}},
    "downloads": {"texts": {"url": "https://example.org/wiki.train", "note": "CC BY 4.0"}},
}
MANIFEST = {
    "parameters": 1234,
    "seed": 7,
    "device": "cpu",
    "versions": {"ontogeny": "0.1.0", "commit": "abc1234"},
    "checkpoints": [{"step": step, "tokens": 32 * step} for step in (0, 10, 20)],
}
PAIRS = "step,probe,phenomenon,uid,n,accuracy\n20,blimp,all,all,67000,0.5725\n20,blimp,x,all,9,1\n"


def card(tmp_path, spec=SPEC, **run):
    spec = {**spec, "run": {**SPEC["run"], **run}}
    tables = {"losses": "step,loss\n10,3.25\n20,2.5\n", "minimal_pairs": PAIRS}
    for name, text in tables.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return Card(
        repo="me/mine",
        study="x",
        run="one",
        license=None,
        sections=sections_of(json.dumps(spec)),
        texts={"documents": 30, "bytes": 999, "tokens": 250},
        manifests=[MANIFEST],
        tables=sorted(tmp_path.glob("*.csv")),
        loss_figure="loss.png",
    ).text()


def test_what_made_it_is_told(tmp_path):
    assert "Trained on cpu with ontogeny 0.1.0, commit abc1234." in card(tmp_path).splitlines()


def test_the_sources_of_a_mixed_text_are_told(tmp_path):
    text = card(tmp_path)
    headings = [line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")]
    assert headings == [
        *("Run", "Architecture", "Corpus", "Tokenizer"),
        *("Corpus `wiki`", "Corpus `talk`", "Download `texts`"),
    ]
    assert "- download:texts/wiki.train\n- mine.txt\n" in text
    assert "url: https://example.org/wiki.train" in text and "note: CC BY 4.0" in text
    assert "words: 100" in text


def outside_fences(text):
    """The lines that Markdown reads, by CommonMark's rule: a block of code ends with a line of at
    least as many backticks as began it (3 spaces before it at most), and of nothing else."""
    fence = None
    for line in text.splitlines():
        ticks = re.match(r" {0,3}(`{3,})(.*)", line)
        if fence is None and ticks:
            fence = ticks[1]
        elif fence and ticks and len(ticks[1]) >= len(fence) and not ticks[2].strip():
            fence = None
        elif fence is None:
            yield line


@pytest.mark.parametrize("ticks", [3, 4, 9])
def test_a_note_stays_in_its_block(tmp_path, ticks):
    plain = card(tmp_path)
    note = f"a\n{'`' * ticks}\n\n# Free! | x\n[y](https://example.org)\n"
    downloads = {"texts": {"url": "https://example.org/wiki.train?`|", "note": note}}
    text = card(tmp_path, spec={**SPEC, "downloads": downloads})
    assert "# Free! | x" in text
    assert list(outside_fences(text)) == list(outside_fences(plain))


@pytest.mark.parametrize("name", ["a|b", "a\n# b", "a`b", "[a](b)", "<b>"])
def test_names_hold_nothing_that_markdown_reads(name):
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(name)


@pytest.mark.parametrize(
    ("sampling", "told"),
    [("blocks", "640 tokens (20 steps)"), ("documents", "640 tokens, padding included (20 steps)")],
)
def test_padding_is_told(tmp_path, sampling, told):
    assert f"scratch on {told}" in card(tmp_path, sampling=sampling)


def test_accuracies_are_told_with_the_number_of_pairs(tmp_path):
    text = card(tmp_path)
    assert "| step | tokens | loss | accuracy (blimp, n = 67000) |" in text
    assert "| 20 | 640 | 2.5 | 0.5725 |" in text and "| 10 | 320 | 3.25 |  |" in text


def test_a_download_is_no_folder_of_this_machine():
    files = ["download:texts/deep/wiki.train", "/home/me/wiki.train"]
    shown = {"files": ["download:texts/deep/wiki.train", "wiki.train"], "path": None}
    assert shown_section({"files": files, "path": None}) == shown


def test_sources_are_all_that_a_corpus_is_made_from():
    corpora = {
        "wiki": FilesCorpus(source="files", files=["x"]),
        "talk": ToyCorpus(source="toy", words=1),
        "some": TakeCorpus(source="take", corpus="wiki", bytes=9),
        "mixed": MixCorpus(source="mix", corpora=["some", "talk", "wiki"]),
        "other": FilesCorpus(source="files", files=["y"]),
    }
    assert sources_of(corpora, "mixed") == ["some", "wiki", "talk"]
    assert sources_of(corpora, "some") == ["wiki"]
    assert sources_of(corpora, "wiki") == []
