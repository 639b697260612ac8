"""What a study file may say: one pydantic model per section, one described field per key.

The field descriptions are the documentation: `docs/config.md` and `docs/study.schema.json` are made
from them (`python scripts/document_config.py`), and a test fails when either has drifted.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ontogeny.study.corpora import Corpus
from ontogeny.study.downloads import Download
from ontogeny.study.probes import Probe
from ontogeny.study.publish import Publish
from ontogeny.study.runs import AnyRun, Grid, ScoresRun
from ontogeny.study.section import NUMBER, Count, Name, Section

# ---------------------------------------------------------------------------- tokenizers


class BpeTokenizer(Section):
    """Byte-level byte-pair encoding, trained on a corpus: no text is out of its vocabulary."""

    type: Literal["bpe"] = Field(description="`bpe`")
    corpus: Name = Field(description="Corpus whose training documents it is trained on.")
    vocab_size: Annotated[int, Field(ge=260, le=2**31), NUMBER] = Field(
        8192, description="Entries, special tokens included."
    )
    min_frequency: Count = Field(2, description="A merge must occur at least this often.")
    lowercase: bool = Field(True, description="Lowercase all text first.")
    prefix_space: bool = Field(
        True, description="Treat a text's first word like one after a space."
    )
    bos: bool = Field(
        True,
        description="Put `<s>` before each document and each scored string. Without it the first "
        "token of a scored string has no probability and is not scored.",
    )


class CharacterTokenizer(Section):
    """One token per character of the corpus."""

    type: Literal["characters"] = Field(description="`characters`")
    corpus: Name = Field(description="Corpus whose training documents give the characters.")
    lowercase: bool = Field(False, description="Lowercase all text first.")
    bos: bool = Field(True, description="Put `<s>` before each document and each scored string.")


# What is read of a tokenizer that exists.
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


class PretrainedTokenizer(Section):
    """A tokenizer that exists: a folder, or a model's name on the Hub."""

    type: Literal["pretrained"] = Field(description="`pretrained`")
    path: str = Field(description="Folder with a `tokenizer.json`, or `owner/name` on the Hub.")
    revision: str | None = Field(None, description="Branch, tag or commit on the Hub.")
    bos: bool = Field(
        True,
        description="Put its beginning-of-sequence token before each document and each scored "
        "string; an error if it has none.",
    )


Tokenizer = Annotated[
    BpeTokenizer | CharacterTokenizer | PretrainedTokenizer, Field(discriminator="type")
]


# ---------------------------------------------------------------------------- architectures


# What the families of `transformers` call sizes of a model.
OPTIONAL = {"n_inner", "num_key_value_heads", "head_dim"}
SIZES = OPTIONAL | {
    *("max_position_embeddings", "n_positions", "hidden_size", "n_embd", "d_model"),
    *("word_embed_proj_dim", "intermediate_size", "ffn_dim", "ffn_hidden_size"),
    *("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    *("num_attention_heads", "n_head", "num_heads", "n_heads"),
}
NUMBER_TEXT = re.compile(r"([-+]?)(\d*)(?:\.(\d*))?(?:[eE]([-+]?)(\d+))?")


def _texts_of_numbers(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Texts in a configuration that look like numbers, and where they stand."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts_of_numbers(inner, f"{place}.{key}")
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _texts_of_numbers(inner, f"{place}[{position}]")
    elif isinstance(value, str) and NUMBER_TEXT.fullmatch(value) and re.search(r"\d", value):
        yield place, value


def _in_yaml(text: str) -> str:
    """The number that a text shows, as YAML 1.1 reads it: with a point and a sign before `e`'s
    exponent."""
    sign, whole, fraction, exponent_sign, exponent = NUMBER_TEXT.fullmatch(text).groups()
    if exponent is None:
        return text
    return f"{sign}{whole or 0}.{fraction or 0}e{exponent_sign or '+'}{exponent}"


class Architecture(Section):
    """A model's shape, as a `transformers` configuration."""

    model_type: Name = Field(
        description="The configuration's `model_type`: `opt`, `llama`, `gpt2`, `gpt_neox` ..."
    )
    config: dict[str, Any] = Field(
        {},
        description="Overrides of that configuration's defaults (`hidden_size` ...). Vocabulary "
        "and special tokens come from the run's tokenizer.",
    )
    biases: bool = Field(
        True,
        description="false: all bias terms are zero and stay zero, as in models without them "
        "(nanoGPT). Checkpoints still load with plain `transformers`.",
    )

    @model_validator(mode="after")
    def leave_the_vocabulary_to_the_tokenizer(self) -> "Architecture":
        for key in ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id"):
            if key in self.config:
                raise ValueError(f"`{key}` comes from the run's tokenizer; remove it here")
        for key in sorted(SIZES & set(self.config)):
            size = self.config[key]
            if isinstance(size, list) or (size is None and key in OPTIONAL):
                continue  # one for each layer; as large as `transformers` makes it
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ValueError(f"config.{key} is {size!r}, should be a whole number above 0")
        for place, text in _texts_of_numbers(self.config, "config"):
            raise ValueError(f"{place} is the text {text!r}; write {_in_yaml(text)} for the number")
        return self

    def positions(self) -> int | None:
        """The longest input, where `config` states it."""
        return self.config.get("max_position_embeddings", self.config.get("n_positions"))


# ---------------------------------------------------------------------------- resources


class Resources(Section):
    """What one job of a stage may use. Never part of a result: a change remakes nothing."""

    threads: Count = Field(1, description="CPU threads.")
    gpu: Annotated[int, Field(ge=0), NUMBER] = Field(
        0, description="GPUs; 0 trains or scores on the CPU."
    )
    mem_mb: Count = Field(4000, description="Memory in MB, for the cluster.")
    runtime: Count = Field(240, description="Minutes, for the cluster.")
    batch_tokens: Count = Field(
        16384, description="Tokens in one forward pass; what fits into memory."
    )


class TrainResources(Resources):
    """What one training job may use. With several GPUs each takes its part of every step."""

    batch_tokens: Count | None = Field(
        None,
        description="Tokens in one forward pass of one process. By default 16,384 on the CPU; on a "
        "GPU the first segment tries what fits into memory, and the others keep to it.",
    )
    compile: bool | None = Field(
        None, description="Compile the model (`torch.compile`); by default on GPUs only."
    )


class Stages(Section):
    """Resources of each stage."""

    corpus: Resources = Field(Resources(threads=2), description="Corpora, tokenizers, tokens.")
    train: TrainResources = Field(TrainResources(), description="Training of one segment.")
    score: Resources = Field(Resources(), description="Scoring of one segment.")
    analysis: Resources = Field(Resources(), description="Tables.")


class Study(Section):
    """One config file: what is trained, on what, measured how."""

    study: Name = Field(description="Name of the study; its files are in `results/<study>/`.")
    downloads: dict[Name, Download] = Field(
        {},
        description="Files that are fetched where they are not there yet. `download:NAME` stands "
        "for one, `download:NAME/MEMBER` for a member of an archive, where the path of a file of "
        "text or stimuli may stand (docs/downloads.md).",
    )
    corpora: dict[Name, Corpus] = Field({}, description="Named sources of documents.")
    tokenizers: dict[Name, Tokenizer] = Field({}, description="Named tokenizers.")
    architectures: dict[Name, Architecture] = Field({}, description="Named model shapes.")
    probes: dict[Name, Probe] = Field(
        {}, description="Stimuli that each checkpoint of each run is scored on."
    )
    grid: list[Grid] = Field([], description="Families of runs.")
    runs: dict[Name, AnyRun] = Field(
        {},
        description="Runs by name. A run of the grid may be named here too, to change some of "
        "its keys.",
    )
    resources: Stages = Field(Stages(), description="What jobs may use, by stage.")
    keep_checkpoints: Literal["all", "none"] = Field(
        "all",
        description="none: weights of runs that are trained here are removed as soon as they are "
        "scored. Nothing is made again for it, but another probe, a score file that is lost, or "
        "the target `runs` trains the run again.",
    )
    score_files: Literal["csv", "csv.zst"] = Field(
        "csv",
        description="csv.zst: score files are compressed, to a fourth of their size or less; "
        "`zstdcat` and polars read them. To be decided before there are any: a change makes all "
        "score files of the study again, for which weights that are gone are trained again.",
    )
    publish: Publish | None = Field(
        None, description="Where `snakemake publish` uploads the runs that are trained here."
    )
    scale: Name | None = Field(
        None,
        description="The one of `scales` that is run; also `--config scale=NAME` after "
        "`--configfile FILE`. By default the study as it stands.",
    )
    scales: dict[Name, dict[str, Any]] = Field(
        {},
        description="Other sizes of the study: for each, the keys that differ, in the sections "
        "where they belong. Mappings are merged, but a section with another `source`, `type` or "
        "`model_type` is replaced as a whole, as lists and values are; `null` removes a key. "
        "Results go to `results/<study>-<scale>/`.",
    )

    def scored_on(self, run: str) -> list[str]:
        """The probes that a run is scored on: those that are not for other corpora, or the one
        whose scores were published."""
        settings = self.runs[run]
        if isinstance(settings, ScoresRun):
            return [settings.probe]
        corpus = getattr(settings, "corpus", None)
        return [
            name
            for name, probe in self.probes.items()
            if not probe.only_corpora or corpus in probe.only_corpora
        ]
