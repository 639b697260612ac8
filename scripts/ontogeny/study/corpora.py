"""Corpora: named sources of documents."""

from typing import Annotated, Literal

from pydantic import Field

from ontogeny.study.section import Count, Section, Seed


class Holdout(Section):
    """Documents that are kept from training and from the tokenizer, to measure perplexity on."""

    share: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.01, description="Share of the documents, drawn at random."
    )
    max_documents: Count | None = Field(None, description="Draw at most this many documents.")
    seed: Seed = Field(0, description="Seed of the draw.")


class CorpusBase(Section):
    """What every corpus has."""

    holdout: Holdout = Field(
        Holdout(),
        description="How held-out documents are drawn where the source has no split of its own.",
    )
    deduplicate: bool = Field(
        True,
        description="Keep the first of several identical documents, and drop from training what "
        "is also held out. Turn it off where repeated short lines belong to the text, as in "
        "transcribed dialogue.",
    )

    def holds_out(self) -> bool:
        """Whether some documents are kept from training."""
        own_split = getattr(self, "validation_files", None) or getattr(
            self, "validation_split", None
        )
        return bool(own_split) or self.holdout.share > 0


class ToyCorpus(CorpusBase):
    """Stories in the built-in toy language, whose true order preferences are known."""

    source: Literal["toy"] = Field(description="`toy`")
    language_seed: Seed = Field(
        1, description="Seed of the language: its binomials and their true preferences."
    )
    seed: Seed = Field(0, description="Seed of the stories.")
    words: Count = Field(description="Length of the corpus in words.")


class FilesCorpus(CorpusBase):
    """Text, jsonl or parquet files on this machine, also compressed (.gz, .zst)."""

    source: Literal["files"] = Field(description="`files`")
    files: list[str] = Field(
        min_length=1,
        description="Paths or glob patterns, relative to the project's folder; read in sorted "
        "order of the names.",
    )
    validation_files: list[str] = Field(
        [], description="Held-out files. Where given, no documents are drawn from `files`."
    )
    documents: Literal["line", "paragraph", "file"] = Field(
        "line",
        description="What is one document in a text file: each line, each block of lines between "
        "empty lines, or the whole file.",
    )
    text_column: str = Field("text", description="Column of the text in jsonl and parquet files.")


class HubCorpus(CorpusBase):
    """A dataset of the Hugging Face Hub, or a local folder that `datasets` can load."""

    source: Literal["hub"] = Field(description="`hub`")
    dataset: str = Field(description="Name on the Hub (`owner/name`), or a local folder.")
    name: str | None = Field(None, description="Configuration of the dataset.")
    revision: str | None = Field(None, description="Branch, tag or commit; fixes the content.")
    split: str = Field("train", description="Split to train on.")
    validation_split: str | None = Field(
        None, description="Held-out split. Where given, no documents are drawn from `split`."
    )
    text_column: str = Field("text", description="Column of the text.")
    streaming: bool = Field(
        False, description="Read over the network without keeping a copy, for large datasets."
    )


Corpus = Annotated[ToyCorpus | FilesCorpus | HubCorpus, Field(discriminator="source")]
