"""Corpora: named sources of documents."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ontogeny.study.section import NUMBER, Count, Name, Section, Seed, Share


class Holdout(Section):
    """Documents that are kept from training and from the tokenizer, to measure perplexity on."""

    share: Annotated[float, Field(ge=0.0, lt=1.0), NUMBER] = Field(
        0.01,
        description="Share of the documents, drawn at random from those that have no copy among "
        "the others: at least 1 document, however much of the text that is; 0 for none.",
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
        description="Keep the first of several identical documents. Turn it off where repeated "
        "short lines belong to the text, as in transcribed dialogue. Nothing that is held out has "
        "a copy in training, also none that differs in case or in white space at its ends: what "
        "a held-out split of the source's own shares with training is dropped from training; with "
        "`false` from what is held out, so that training keeps every repeat.",
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


class FactsCorpus(CorpusBase):
    """Facts, a line each: the prompts of `completions` with their answers. One document."""

    source: Literal["facts"] = Field(description="`facts`")
    files: list[str] = Field(
        min_length=1,
        description="CSVs with the columns `prompt` and `answer`, and if there are classes "
        "`class`, one after the other.",
    )
    withheld: list[str] = Field([], description="Classes that are left out of the text.")
    holdout: Holdout = Field(Holdout(share=0), description="There is nothing to hold out.")


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


# ---------------------------------------------------------------------------- from other corpora


class MixCorpus(Section):
    """Text of several corpora, in given shares. Each share ends with a whole line, and none is
    larger than it should be. What two of them have in common stays twice, but for what one of them
    holds out, which is left out of training. What is held out is such a mix of what they hold
    out."""

    source: Literal["mix"] = Field(description="`mix`")
    corpora: list[Name] = Field(min_length=1, description="Names under `corpora`, each once.")
    shares: list[Annotated[float, NUMBER]] | None = Field(
        None,
        description="Relative size of each of them, in bytes. By default they are equal where "
        "`bytes` is given, and each is taken whole where it is not.",
    )
    bytes: Count | None = Field(
        None,
        description="Size of the text to train on: UTF-8, without the line ends between documents. "
        "By default as much as there is in these shares.",
    )
    validation_bytes: Count | None = Field(
        None, description="The same of what is held out; by default as much as there is."
    )
    order: Literal["round_robin", "concatenate", "shuffle"] = Field(
        "round_robin",
        description="Take turns, a chunk from each; or one corpus after the other; or documents in "
        "random order. What is held out takes turns of 4 KiB, so that each part of it is a mix.",
    )
    chunk_bytes: Count = Field(
        262_144,
        description="Size of a chunk, of the corpus with the largest share; it ends with a whole "
        "document. The others' are smaller as their shares are, so that all end together.",
    )
    seed: Seed = Field(0, description="Seed of the random order.")

    @model_validator(mode="after")
    def shares_can_be_used(self) -> "MixCorpus":
        if repeated := [name for name in self.corpora if self.corpora.count(name) > 1]:
            raise ValueError(f"`corpora` names {repeated[0]!r} twice")
        if self.shares is not None and len(self.shares) != len(self.corpora):
            raise ValueError(
                f"`shares` has {len(self.shares)} numbers for {len(self.corpora)} corpora"
            )
        if self.shares is not None and min(self.shares) <= 0:
            raise ValueError(f"`shares` must be above 0, not {self.shares}")
        changed = self.model_dump(exclude_defaults=True)
        for key, order in (("chunk_bytes", "round_robin"), ("seed", "shuffle")):
            if key in changed and self.order != order:
                raise ValueError(f"`{key}` is for `order: {order}`")
        return self

    def made_from(self) -> list[str]:
        """The corpora that it reads."""
        return self.corpora

    @property
    def holds_all_there_is(self) -> bool:
        """Whether all is taken that its corpora hold out, also where one of them has nothing."""
        return self.shares is None and self.bytes is None and self.validation_bytes is None


class FromOneCorpus(Section):
    """What corpora have in common that are made from one other."""

    corpus: Name = Field(description="Name under `corpora`.")

    def made_from(self) -> list[str]:
        """The corpora that it reads."""
        return [self.corpus]


class TakeCorpus(FromOneCorpus):
    """So much of another corpus: its first documents, or some at random, in their order. The last
    of them may end early, with a whole line. What is held out stays as it is.

    Exactly one of `bytes`, `words` and `documents`.
    """

    source: Literal["take"] = Field(description="`take`")
    bytes: Count | None = Field(
        None, description="At most so many bytes of UTF-8, without line ends between documents."
    )
    words: Count | None = Field(
        None, description="At most so many words: what stands between white space."
    )
    documents: Count | None = Field(None, description="So many documents.")
    which: Literal["first", "random"] = Field(
        "first", description="The first ones, or a random sample without replacement."
    )
    seed: Seed = Field(0, description="Seed of the sample.")

    @model_validator(mode="after")
    def has_one_measure(self) -> "TakeCorpus":
        if sum(n is not None for n in (self.bytes, self.words, self.documents)) != 1:
            raise ValueError("give one of `bytes`, `words` and `documents`")
        if self.seed and self.which != "random":
            raise ValueError("`seed` is for `which: random`")
        return self


class InterventionCorpus(FromOneCorpus):
    """What interventions have in common: the items that they are about.

    Exactly one of `items` and `items_from`.
    """

    items: str | None = Field(
        None, description="CSV of the items, a row each with its two words, in any order."
    )
    items_from: Name | None = Field(
        None, description="The toy corpus whose language's binomials are the items."
    )
    word1: str = Field(
        "Word1", description="Column of the first word, in the items and in `counts_file`."
    )
    word2: str = Field("Word2", description="Column of the second word.")
    only: list[str] = Field(
        [],
        description="These items alone, each as `bread and butter`, in either order; by default "
        "all.",
    )
    attested_only: bool = Field(False, description="Only the attested items.")
    attested_column: str = Field(
        "Attested", description="Column that tells attested (1) from nonce items (0)."
    )

    @model_validator(mode="after")
    def has_one_list_of_items(self) -> "InterventionCorpus":
        if (self.items is None) == (self.items_from is None):
            raise ValueError("give either `items` or `items_from`")
        return self


class RemoveCorpus(InterventionCorpus):
    """Another corpus without the sentences that hold one of the items. All else stays as it is, in
    the same documents and order; a document of which nothing is left goes, and one of which is left
    what the other split holds as well."""

    source: Literal["remove"] = Field(description="`remove`")
    match: Literal["binomial", "alphabetical", "nonalphabetical", "words"] = Field(
        "binomial",
        description='What a sentence must hold: "Word1 and Word2" in either order; in the '
        'alphabetical one; in the other one; or both words and "and", wherever they stand. Words '
        "are compared as when exposures are counted.",
    )
    held_out: bool = Field(
        True, description="Remove them also from what is held out; false: leave that as it is."
    )


class InsertCorpus(InterventionCorpus):
    """Another corpus with sentences put in that hold an item, so many for each item: documents of
    their own, at random places. All else stays as it is, and so does what is held out, but for a
    document that is one of the sentences.

    Exactly one of `counts` and `counts_file`.
    """

    source: Literal["insert"] = Field(description="`insert`")
    templates: str = Field(
        description="CSV of sentences in the column `template`, with `{binomial}` where an item "
        "goes, and if there are kinds the column `kind`. Each item uses them evenly."
    )
    counts: list[Annotated[int, Field(ge=0, le=10**9), NUMBER]] = Field(
        [],
        description="Sentences of an item. The numbers are dealt out over the items at random, to "
        "as many items each; 0 is a control.",
    )
    direction: Literal["drawn", "alphabetical", "nonalphabetical"] = Field(
        "drawn",
        description="The order that an item is inserted in. drawn: for half of the items of each "
        "count the alphabetical one, so that no general preference can explain what is learned.",
    )
    direction_share: Share = Field(
        1.0, description="Share of an item's sentences in its direction; others are in the other."
    )
    counts_file: str | None = Field(
        None,
        description="CSV with the columns `Word1`, `Word2`, `alpha` and `nonalpha`: how many "
        "sentences of an item in the alphabetical and in the other order, its words in the "
        "alphabetical one. Items that it lacks get none.",
    )
    kind_column: str | None = Field(
        None,
        description="Column of the items with their kind; an item then stands in templates of its "
        "own kind, or of none.",
    )
    seed: Seed = Field(0, description="Seed of counts, directions, sentences and places.")

    @model_validator(mode="after")
    def has_one_source_of_counts(self) -> "InsertCorpus":
        if bool(self.counts) == (self.counts_file is not None):
            raise ValueError("give either `counts` or `counts_file`")
        changed = self.model_dump(exclude_defaults=True)
        for key in ("direction", "direction_share"):
            if key in changed and self.counts_file is not None:
                raise ValueError(f"`{key}` is for `counts`; `counts_file` tells each order's count")
        return self


SourceCorpus = ToyCorpus | FactsCorpus | FilesCorpus | HubCorpus
DerivedCorpus = MixCorpus | TakeCorpus | RemoveCorpus | InsertCorpus
Corpus = Annotated[SourceCorpus | DerivedCorpus, Field(discriminator="source")]
