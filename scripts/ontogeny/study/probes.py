"""Probes: stimuli, and how checkpoints are scored on them."""

import re
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from ontogeny.study.section import NUMBER, Count, Name, Section, Seed


def _ascending(bins: int | list[float]) -> int | list[float]:
    if isinstance(bins, list) and any(low >= high for low, high in pairwise([0.0, *bins])):
        raise ValueError(f"edges of groups must be above 0 and ascend, not {bins}")
    return bins


EXPOSURE = "relative_exposure"  # a reference that every run which is trained here has
CHOICES = "choices"  # a reference that every probe with `responses` has

# So many groups of equal size, or the edges between groups.
Bins = Annotated[
    Annotated[int, Field(ge=0, le=20), NUMBER]
    | Annotated[list[Annotated[float, NUMBER]], Field(min_length=1)],
    AfterValidator(_ascending),
]


class Reference(Section):
    """Something that the models' preferences are compared with, one number per item.

    Exactly one of `column`, `log_ratio` and `weights`.
    """

    column: str | None = Field(None, description="Column of the items file.")
    log_ratio: Annotated[list[str], Field(min_length=2, max_length=2)] | None = Field(
        None,
        description="Two columns: the reference is the natural logarithm of the first over the "
        "second, its midpoint 0.",
    )
    of: Literal["first", "alphabetical"] = Field(
        "first",
        description="The order that `column` or `log_ratio` is of: `Word1` first, or the "
        "alphabetical one. Where that is not the order that preferences are for, the number is "
        "turned round the midpoint.",
    )
    weights: str | None = Field(
        None,
        description="CSV of constraint weights (`column,weight`; the row `intercept`); the "
        "reference is their logistic, the probability of the alphabetical order. The columns are, "
        "as `constraints` are, of `Word1` first.",
    )
    midpoint: Annotated[float, NUMBER] = Field(
        0.5,
        description="The value that prefers neither order: 0.5 for a probability, 0 for a log "
        "odds. Accuracy is agreement on the side of it.",
    )
    attested_only: bool = Field(
        False, description="Undefined for nonce items, as a relative frequency is."
    )

    @model_validator(mode="before")
    @classmethod
    def neither_order_has_a_log_ratio_of_0(cls, keys: Any) -> Any:
        if isinstance(keys, dict) and keys.get("log_ratio") is not None:
            if keys.get("midpoint", 0) != 0:
                raise ValueError("the midpoint of a log ratio is 0; leave `midpoint` out")
            return {**keys, "midpoint": 0.0}
        return keys

    @model_validator(mode="after")
    def has_one_source(self) -> "Reference":
        given = [key for key in (self.column, self.log_ratio, self.weights) if key is not None]
        if len(given) != 1:
            raise ValueError("give one of `column`, `log_ratio` and `weights`")
        if self.weights is not None and self.of != "first":
            raise ValueError("`of` is for `column` and `log_ratio`")
        return self

    @property
    def columns(self) -> list[str]:
        """The columns that it is read from; those of weights are in their file."""
        return [self.column] if self.column is not None else self.log_ratio or []


class ProbeBase(Section):
    """What every probe has."""

    only_corpora: list[Name] = Field(
        [],
        description="Score only the runs that are trained on these corpora; by default all runs.",
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32",
        description="bf16: the model's body in bf16 under autocast, faster on a GPU; the output "
        "matrix and all log-probabilities stay in fp32. Its error is in benchmarks/README.md.",
    )


class BinomialsProbe(ProbeBase):
    """Preference between the two orders of "X and Y", summed over the whole string, in prompts.

    Exactly one of `items` and `items_from`.
    """

    type: Literal["binomials"] = Field(description="`binomials`")
    items: str | None = Field(
        None,
        description="CSV with a row per binomial: its two words, and the columns named below.",
    )
    items_from: Name | None = Field(
        None, description="The toy corpus whose language's binomials are the items."
    )
    word1: str = Field(
        "Word1", description="Column of the first word, in the items and in `responses`."
    )
    word2: str = Field("Word2", description="Column of the second word.")
    order: Literal["alphabetical", "first"] = Field(
        "alphabetical",
        description="The order that preferences are for, and all that tables call `alpha`. "
        "alphabetical: pairs that are written in the other order are turned, with their references "
        "and constraints. first: `Word1` before `Word2` as the file has them; nothing is turned.",
    )
    prompts: str = Field(
        "data/prompts/prompts.csv",
        description="The contexts: the distinct values of the column `prompt` of a CSV, such as "
        "the list that ships or a published score file.",
    )
    max_prompts: Count | None = Field(None, description="Use only the first so many prompts.")
    attested_column: str | None = Field(
        "Attested",
        description="Column that tells attested (1) from nonce items (0); null, or a file without "
        "the column `Attested`: all are attested.",
    )
    frequency_column: str = Field(
        "OverallFreq", description="Column of how often the item occurs, both orders together."
    )
    frequency_bins: Bins = Field(
        3,
        description="Attested items are also reported in so many groups of equal size, from the "
        "rarest to the most frequent; 0 for none. Or a list of edges, in the unit of "
        "`frequency_column`: `[1000, 100000]` makes three groups.",
    )
    exposure_bins: Bins = Field(
        5,
        description="The same for the items that a run's text holds, by how often the run has seen "
        "them at its end, both orders together.",
    )
    references: dict[Name, Reference] = Field(
        min_length=1, description="What preferences are compared with."
    )
    prior: Name = Field(
        "human",
        description="The reference that tells what people prefer in general, whatever they have "
        "heard; regressions that need it are left out where there is none of this name.",
    )
    constraints: list[str] = Field(
        [],
        description="Columns of the items file with the values of constraints on the order, "
        "positive where they favour `Word1` first.",
    )
    responses: str | None = Field(
        None,
        description="CSV of people's choices, a row each: `Word1`, `Word2`, and `resp` (`first`: "
        "`Word1` first, or `second`; of two words in alphabetical order also `alpha` or "
        "`nonalpha`). The share of the order that preferences are for is then also a reference, "
        "named `choices`.",
    )

    @model_validator(mode="after")
    def has_one_source(self) -> "BinomialsProbe":
        if (self.items is None) == (self.items_from is None):
            raise ValueError("give either `items` or `items_from`")
        return self

    @model_validator(mode="after")
    def names_are_known(self) -> "BinomialsProbe":
        if "prior" in self.model_fields_set and self.prior not in self.references:
            raise ValueError(
                f"`prior` is {self.prior!r}, which is not under `references`; there: "
                + ", ".join(self.references)
            )
        for name, meaning in (
            (EXPOSURE, "what a run has read of an item"),
            (CHOICES, "what people have chosen in `responses`"),
        ):
            if name in self.references:
                raise ValueError(f"`references`: {name!r} is {meaning}; take another name")
        if repeated := [name for name in self.constraints if self.constraints.count(name) > 1]:
            raise ValueError(f"`constraints` names {repeated[0]!r} twice")
        return self


class PairSample(Section):
    """Some of the pairs, drawn without replacement.

    Exactly one of `pairs` and `per_class`.
    """

    pairs: Count | None = Field(None, description="So many of all pairs.")
    per_class: Count | None = Field(None, description="So many of each class (`uid`).")
    seed: Seed = Field(0, description="Seed of the draw.")

    @model_validator(mode="after")
    def has_one_size(self) -> "PairSample":
        if (self.pairs is None) == (self.per_class is None):
            raise ValueError("give either `pairs` or `per_class`")
        return self


class MinimalPairsProbe(ProbeBase):
    """Does a model give the acceptable sentence of a pair the higher probability? Ties count half.

    Exactly one of `pairs` and `pairs_from`.
    """

    type: Literal["minimal_pairs"] = Field(description="`minimal_pairs`")
    pairs: str | None = Field(
        None,
        description="BLiMP's jsonl as published (a file, a folder of them, or a zip), or a CSV "
        "with the columns `good` and `bad`, and if there are classes `uid` and `phenomenon`.",
    )
    pairs_from: Name | None = Field(
        None, description="The toy corpus whose language's minimal pairs are the stimuli."
    )
    sample: PairSample | None = Field(
        None, description="Only some of them, in their order; by default all."
    )

    @model_validator(mode="after")
    def has_one_source(self) -> "MinimalPairsProbe":
        if (self.pairs is None) == (self.pairs_from is None):
            raise ValueError("give either `pairs` or `pairs_from`")
        return self


class CompletionsProbe(ProbeBase):
    """Does a model continue a prompt with the answer, and how probable is the answer to it?"""

    type: Literal["completions"] = Field(description="`completions`")
    items: str = Field(
        description="CSV with the columns `prompt` and `answer`, and if there are classes `class`."
    )
    decoding: Literal["greedy", "sample"] = Field(
        "greedy", description="Take the most probable token at each step, or draw one."
    )
    temperature: Annotated[float, Field(gt=0), NUMBER] = Field(
        1.0, description="Logits are divided by it before a draw."
    )
    top_k: Count | None = Field(None, description="Draw among so many most probable tokens.")
    samples: Count = Field(1, description="Completions drawn for each prompt.")
    seed: Seed = Field(0, description="Seed of the draws; each item and sample has its own.")
    max_new_tokens: Count | None = Field(
        None, description="Length of a completion; by default as long as the item's answer."
    )
    context: Count | None = Field(
        None,
        description="The model sees only so many of the last tokens of a longer text, for models "
        "with few positions. By default all of it, and a text longer than that is an error.",
    )
    stop: str = Field(
        "\n", description="A completion ends where this first occurs; empty for nowhere."
    )
    pattern: str | None = Field(
        None,
        description="Regular expression; its first match in a completion is compared with the "
        "answer (`-?[0-9]+` for a number). By default all of the completion is.",
    )
    ignore_case: bool = Field(False, description="Compare without regard to case.")

    @model_validator(mode="after")
    def can_be_used(self) -> "CompletionsProbe":
        given = self.model_fields_set & {"temperature", "top_k", "samples", "seed"}
        if self.decoding == "greedy" and given:
            raise ValueError(f"`{sorted(given)[0]}` is for `decoding: sample`")
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"`pattern` is no regular expression: {error}") from None
        return self


class PerplexityProbe(ProbeBase):
    """How well a checkpoint predicts held-out text."""

    type: Literal["perplexity"] = Field(description="`perplexity`")
    corpus: Name | None = Field(
        None,
        description="Corpus whose held-out documents are read; by default the run's own. Whether "
        "the run has read copies of another corpus' is not checked.",
    )
    max_tokens: Count = Field(100_000, description="Read at most so many tokens.")
    sequences: Literal["blocks", "documents"] = Field(
        "blocks",
        description="What the model sees at a time: `block_size` tokens of the run, cut on end, or "
        "a document, or a piece of up to `block_size` tokens of a longer one. The first token of "
        "each is given.",
    )
    ngrams: bool = Field(
        False,
        description="Also measure how far the predictions are from those of unigrams and of "
        "bigrams of the run's training text. Only of runs that are trained here.",
    )


# Scored string by string, through an index.
IndexedProbe = Annotated[
    BinomialsProbe | MinimalPairsProbe | CompletionsProbe, Field(discriminator="type")
]
Probe = Annotated[IndexedProbe | PerplexityProbe, Field(discriminator="type")]
