"""Runs: trained here, fetched from the Hub, or scored by someone else."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, model_validator

from ontogeny.study import schedule
from ontogeny.study.section import NUMBER, Count, Name, Repo, Section, Seed, Share


class Optimizer(Section):
    """AdamW and its learning rate. Weight decay acts on matrices only."""

    lr: Annotated[float, Field(gt=0), NUMBER] = Field(3e-4, description="Peak learning rate.")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear", description="Shape of the decay after warm-up, down to `min_lr_share`."
    )
    warmup_share: Share = Field(0.05, description="Warm-up as a share of the run's steps.")
    warmup_tokens: Annotated[int, Field(ge=0), NUMBER] | None = Field(
        None, description="Warm-up in tokens; takes the place of `warmup_share`."
    )
    min_lr_share: Share = Field(0.0, description="Final learning rate as a share of the peak.")
    decay_steps: Count | None = Field(
        None,
        description="The step at which the decay ends, and from which the learning rate stays; by "
        "default the last. A run that ends before it is the beginning of a longer one.",
    )
    beta1: Annotated[float, Field(ge=0, lt=1), NUMBER] = Field(
        0.9, description="Decay of the mean."
    )
    beta2: Annotated[float, Field(ge=0, lt=1), NUMBER] = Field(
        0.999, description="Decay of the mean square."
    )
    epsilon: Annotated[float, Field(gt=0), NUMBER] = Field(
        1e-8, description="Added to the root of the mean square."
    )
    weight_decay: Annotated[float, Field(ge=0), NUMBER] = Field(
        0.0, description="Decoupled weight decay."
    )
    max_grad_norm: Annotated[float, Field(gt=0), NUMBER] | None = Field(
        1.0, description="Gradients are scaled down to this norm; null for no limit."
    )


class Checkpoints(Section):
    """Which steps are kept: the union of all that is given, step 0 and the last step."""

    every_tokens: Count | None = Field(
        None, description="One each so many tokens, rounded down to whole steps."
    )
    every_steps: Count | None = Field(None, description="One each so many steps.")
    log2: bool | Count = Field(
        False, description="Steps 1, 2, 4, 8 ...: `true` to the end, a number up to that step."
    )
    per_octave: Annotated[int, Field(gt=0, le=1000), NUMBER] | None = Field(
        None, description="So many, evenly spaced, between each power of two and the next."
    )
    at: list[Annotated[int, Field(ge=0), NUMBER]] = Field([], description="These steps.")
    per_segment: Count = Field(
        40,
        description="Checkpoints that one job trains and one job scores. A killed job loses at "
        "most the segment that it was on.",
    )

    def check_reach(self, last_step: int, tokens_per_step: int | None, ends: str) -> None:
        """Raise ValueError for what names no step of a schedule that `ends` at `last_step`."""
        if late := [step for step in self.at if step > last_step]:
            raise ValueError(f"checkpoints.at {late}: {ends} at step {last_step}")
        if self.every_steps is not None and self.every_steps > last_step:
            raise ValueError(
                f"checkpoints.every_steps {self.every_steps:,} names no step: {ends} at step "
                f"{last_step:,}"
            )
        if self.every_tokens is None or tokens_per_step is None:
            return
        if self.every_tokens < tokens_per_step:
            raise ValueError(
                f"checkpoints.every_tokens {self.every_tokens:,} is less than one step, "
                f"{tokens_per_step:,} tokens; give as many at least, or `every_steps: 1`"
            )
        if self.every_tokens // tokens_per_step > last_step:
            raise ValueError(
                f"checkpoints.every_tokens {self.every_tokens:,} names no step: {ends} at step "
                f"{last_step:,}, after {last_step * tokens_per_step:,} tokens"
            )


class Run(Section):
    """One training: corpus x tokenizer x architecture x seed x optimizer x budget.

    Exactly one of `tokens` and `steps`.
    """

    source: Literal["train"] = Field("train", description="`train`, or left out.")
    corpus: Name = Field(description="Name under `corpora`.")
    tokenizer: Name = Field(description="Name under `tokenizers`.")
    architecture: Name = Field(description="Name under `architectures`.")
    seed: Seed = Field(0, description="Seed of the weights, of dropout and of the order.")
    tokens: Count | None = Field(
        None, description="Budget in tokens; the part of it that fills whole steps is trained."
    )
    steps: Count | None = Field(None, description="Budget in steps.")
    block_size: Annotated[int, Field(ge=2), NUMBER] = Field(
        description="Tokens in one training sequence."
    )
    batch_size: Count = Field(
        description="Sequences in one step, whatever the number of GPUs or the micro-batch."
    )
    sampling: Literal["blocks", "documents", "windows"] = Field(
        "blocks",
        description="What a training sequence is. `blocks`: `block_size` tokens of the corpus, cut "
        "on end. `documents`: a document, or a piece of up to `block_size` tokens of a longer one; "
        "shorter ones are padded, and padding counts in `tokens`. `windows`: `block_size` tokens "
        "from a random place, and the one after them, which the last is to predict; for small "
        "corpora.",
    )
    shuffle: bool = Field(
        True,
        description="A new random order of the blocks or documents in each epoch; false: corpus "
        "order.",
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="bf16: autocast, with weights kept in fp32."
    )
    optimizer: Optimizer = Field(Optimizer(), description="AdamW and its learning rate.")
    max_loss: Annotated[float, Field(gt=0), NUMBER] | None = Field(
        None,
        description="Training ends with an error when the loss of a step is above so many nats; "
        "by default twice that of a uniform guess, 2 ln(vocabulary).",
    )
    checkpoints: Checkpoints = Field(Checkpoints(per_octave=1), description="Which steps are kept.")

    @model_validator(mode="after")
    def has_one_budget(self) -> "Run":
        if (self.tokens is None) == (self.steps is None):
            raise ValueError("give the budget as either `tokens` or `steps`")
        if self.last_step == 0:
            raise ValueError(
                f"a budget of {self.tokens:,} tokens is less than one step: block_size "
                f"{self.block_size} x batch_size {self.batch_size} = {self.tokens_per_step:,} "
                "tokens"
            )
        self.checkpoints.check_reach(self.last_step, self.tokens_per_step, "the run ends")
        if (self.optimizer.warmup_tokens or 0) >= self.last_step * self.tokens_per_step:
            raise ValueError(
                f"optimizer.warmup_tokens {self.optimizer.warmup_tokens:,}: the run ends after "
                f"{self.last_step * self.tokens_per_step:,} tokens, so nothing would be trained "
                "after the warm-up; shorten it, or give `warmup_share`"
            )
        decay = None if self.optimizer.schedule == "constant" else self.optimizer.decay_steps
        if decay is not None and decay <= self.warmup_steps:
            raise ValueError(
                f"optimizer.decay_steps {decay:,}: the decay begins after the warm-up, at step "
                f"{self.warmup_steps:,}; end it later"
            )
        if self.sampling == "windows" and not self.shuffle:
            raise ValueError("windows are drawn at random; leave out `shuffle: false`")
        return self

    @property
    def tokens_per_step(self) -> int:
        return self.block_size * self.batch_size

    @property
    def last_step(self) -> int:
        return self.steps or schedule.total_steps(self.tokens, self.tokens_per_step)

    @property
    def warmup_steps(self) -> int:
        """Steps of warm-up: `warmup_tokens`, or the share of the run, rounded to whole steps."""
        if self.optimizer.warmup_tokens is not None:
            return round(self.optimizer.warmup_tokens / self.tokens_per_step)
        return round(self.optimizer.warmup_share * self.last_step)

    def checkpoint_steps(self) -> list[int]:
        """Sorted steps of the run's checkpoints, from 0 to the last step."""
        kept = self.checkpoints.model_dump(exclude={"per_segment"})
        return schedule.checkpoint_steps(self.last_step, self.tokens_per_step, **kept)

    @property
    def per_segment(self) -> int:
        return self.checkpoints.per_segment

    def segments(self) -> list[schedule.Segment]:
        return schedule.segments(self.checkpoint_steps(), self.per_segment)


class HubRun(Section):
    """The checkpoints of a published model, each a revision of a repository on the Hub."""

    source: Literal["hub"] = Field(description="`hub`")
    model: Repo = Field(description="Repository (`owner/name`).")
    revisions: str = Field(
        description="CSV of its checkpoints, in the columns `revision,step,tokens,commit,sha256`; "
        "`python scripts/list_revisions.py` writes it. A line that is removed is a checkpoint "
        "that is left out.",
    )
    sample: Annotated[int, Field(ge=2), NUMBER] | None = Field(
        None,
        description="Use only so many of them, evenly spaced in the logarithm of the step; the "
        "first and the last are always among them. By default all.",
    )
    tokenizer: Name = Field(description="Name under `tokenizers`.")
    block_size: Annotated[int, Field(ge=2), NUMBER] = Field(
        1024, description="Tokens in one sequence of perplexity probes."
    )
    per_segment: Count = Field(
        10,
        description="Checkpoints that one job fetches and one job scores. Their weights are on "
        "the disk until they are scored, and no longer.",
    )


class ScoresRun(Section):
    """Score files of a probe that someone has published, one CSV for each checkpoint."""

    source: Literal["scores"] = Field(description="`scores`")
    probe: Name = Field(description="The binomials probe, under `probes`, that they are scores of.")
    files: list[str] = Field(
        min_length=1,
        description="Paths or glob patterns, relative to the project's folder.",
    )
    steps_from: Literal["name", "number", "column"] = Field(
        "name",
        description="What tells the step. name: the `step-1140` of a file's name "
        "(`model_step-1140.csv`). number: the last number of it (`ckpt-100.csv`). column: the "
        "column `step`, or where that is empty the last number in the column `checkpoint`; a file "
        "may then have many checkpoints.",
    )
    tokens_per_step: Count | None = Field(
        None,
        description="Needed where the files have no column `tokens`; where they have one, the two "
        "must agree.",
    )
    last_step: Count | None = Field(
        None, description="Where the schedule below ends, for the report of what is missing."
    )
    checkpoints: Checkpoints | None = Field(
        None,
        description="The schedule that was published, for the report of what is missing: exactly "
        "the steps that it names, so step 0 or an odd last step only with `at`. By default the "
        "files that there are are what is expected.",
    )

    @model_validator(mode="after")
    def schedule_is_whole(self) -> "ScoresRun":
        if self.checkpoints is None and self.last_step is None:
            return self
        if self.checkpoints is None or self.last_step is None:
            raise ValueError("`checkpoints` and `last_step` go together: give both or neither")
        if "per_segment" in self.checkpoints.model_fields_set:
            raise ValueError("checkpoints.per_segment is for runs whose weights are here")
        if self.checkpoints.every_tokens and self.tokens_per_step is None:
            raise ValueError("checkpoints.every_tokens needs `tokens_per_step`")
        self.checkpoints.check_reach(self.last_step, self.tokens_per_step, "the schedule ends")
        if not self.expected_steps():
            raise ValueError("checkpoints: names no step; give e.g. `every_steps`")
        return self

    def expected_steps(self) -> list[int] | None:
        """Sorted steps of the published schedule; None where it is not given."""
        if self.checkpoints is None:
            return None
        kept = self.checkpoints.model_dump(exclude={"per_segment"})
        return schedule.checkpoint_steps(
            self.last_step, self.tokens_per_step or 0, **kept, ends=False
        )


AnyRun = Annotated[Run | HubRun | ScoresRun, Field(discriminator="source")]


def read_run(spec: str) -> Run | HubRun | ScoresRun:
    """A run from JSON, as the scripts get it: one without `source` is trained."""
    return TypeAdapter(AnyRun).validate_python({"source": "train", **json.loads(spec)})


def seed_families(runs: Mapping[str, Run], alone: bool = False) -> dict[str, list[str]]:
    """Runs that differ in nothing but their seed, where there are two or more; with `alone` the
    others too, each by itself.

    The name of a family is what the names of its runs begin with in common, without the `-`, `_`,
    `.` or `-seed` at its end; the first run's name where that is nothing or is taken.
    """
    alike: dict[str, list[str]] = {}
    for name, run in sorted(runs.items()):
        alike.setdefault(run.model_dump_json(exclude={"seed"}), []).append(name)
    families = {names[0]: names for names in alike.values() if alone and len(names) == 1}
    for names in alike.values():
        if len(names) > 1:
            common = names[0]
            while not all(name.startswith(common) for name in names):
                common = common[:-1]
            if any(name[len(common) :][:1].isdigit() for name in names):
                common = common.rstrip("0123456789")  # no part of a seed
            common = re.sub(r"[-_.]*(?:seed)?[-_.]*\Z", "", common)
            families[names[0] if not common or common in families else common] = names
    return families


class Grid(Section):
    """Runs over all combinations of the lists, alike in everything else."""

    corpora: list[Name] = Field(min_length=1, description="Names under `corpora`.")
    architectures: list[Name] = Field(min_length=1, description="Names under `architectures`.")
    tokenizers: list[Name] = Field(min_length=1, description="Names under `tokenizers`.")
    seeds: list[Seed] = Field([0], min_length=1, description="Seeds.")
    name: str | None = Field(
        None,
        description="The runs' names, from `{corpus}`, `{architecture}`, `{tokenizer}` and "
        "`{seed}`. By default `{architecture}-{corpus}`, with tokenizer and seed where there are "
        "several.",
    )
    run: dict[str, Any] = Field(
        description="All else that these runs share: any key of a run (see `runs`)."
    )
