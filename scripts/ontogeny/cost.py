"""What a study costs, computed from its file alone: operations, checkpoints, scores, disk, time.

Nothing is trained or fetched. What depends on files that are not here yet is None.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from ontogeny.corpus.tokenizer import TokenizerInfo, load_tokenizer
from ontogeny.inputs import checkpoint_steps
from ontogeny.paths import Paths, project_path
from ontogeny.scoring.stimuli.binomials import read_prompts, read_words
from ontogeny.scoring.stimuli.completions import read_questions
from ontogeny.scoring.stimuli.minimal_pairs import read_minimal_pairs, sampled
from ontogeny.study.models import Architecture, Study
from ontogeny.study.probes import BinomialsProbe, MinimalPairsProbe, PerplexityProbe, Probe
from ontogeny.study.runs import Run
from ontogeny.study.schedule import checkpoint_name
from ontogeny.training.model import count_parameters, named_weights, new_model
from ontogeny.training.speed import flops_per_token

NUMBER_BYTES = 11.3  # of a float32 in a score file, its comma included (measured)
MOMENTS = 2  # of AdamW, each as large as what is trained


@dataclass(frozen=True)
class ModelSize:
    """A model in fp32: its parameters, a tied matrix once, and the bytes of a checkpoint and of a
    training state; `flops` of training on one token."""

    parameters: int
    checkpoint_bytes: int
    state_bytes: int
    flops: float


@dataclass(frozen=True)
class ProbeSize:
    """What one checkpoint is scored on. `strings`: whole strings, each order or sentence one;
    `tokens`: of these strings, or at most so many of held-out text; `rows` of a score file and
    the bytes of the text in them. None where it can't be known yet."""

    strings: int | None = None
    tokens: int | None = None
    rows: int | None = None
    text_bytes: int | None = None


@dataclass(frozen=True)
class RunCost:
    """What a run costs. Nothing is known of the training of a published one. `score_bytes` is an
    estimate, of the probes in which it can be made; None where it can't for any."""

    run: str
    parameters: int | None
    steps: int | None
    tokens: int | None
    flops: float | None
    checkpoints: int
    checkpoint_bytes: int | None
    state_bytes: int | None
    score_files: int
    score_bytes: int | None


def run_costs(study: Study, vocabularies: Mapping[str, int]) -> list[RunCost]:
    """One for each run. `vocabularies`: sizes of tokenizers that the study does not tell.

    Raises ValueError for one that nothing tells.
    """
    probes = probe_sizes(study)
    costs = []
    for name, run in study.runs.items():
        steps = checkpoint_steps(run)
        scored = study.scored_on(name)
        sizes = [_score_bytes(name, run, steps, probes[probe]) for probe in scored]
        known = [size for size in sizes if size is not None]
        scores = (len(scored) * len(steps), sum(known) if known else None)
        if isinstance(run, Run):
            size = model_size(
                study.architectures[run.architecture],
                vocabulary(study, run.tokenizer, vocabularies),
                run.block_size,
            )
            tokens = run.last_step * run.tokens_per_step
            kept = len(steps)
            if study.keep_checkpoints == "none":  # those of a segment are there at a time
                kept = max(len(segment.checkpoints) for segment in run.segments())
            disk = (size.checkpoint_bytes * kept, size.state_bytes)
            training = (size.parameters, run.last_step, tokens, size.flops * tokens)
        else:
            training, disk = (None, None, None, None), (None, None)
        costs.append(RunCost(name, *training, len(steps), *disk, *scores))
    return costs


def total_cost(costs: list[RunCost]) -> RunCost:
    """The sum of what is known; parameters and steps have none."""

    def total(key: str) -> int | float | None:
        known = [value for cost in costs if (value := getattr(cost, key)) is not None]
        return sum(known) if known else None

    summed = {key: total(key) for key in RunCost.__dataclass_fields__ if key != "run"}
    return RunCost("total", **{**summed, "parameters": None, "steps": None})


def gpu_hours(flops: float, peak_tflops: float, mfu: float) -> float:
    """Hours of one device for so many operations, at a share `mfu` of its peak."""
    return flops / (peak_tflops * 1e12 * mfu) / 3600


def vocabulary(study: Study, name: str, sizes: Mapping[str, int]) -> int:
    """Entries of a tokenizer: as given, as the study says, or as it was made."""
    tokenizer = study.tokenizers[name]
    told = sizes.get(name) or getattr(tokenizer, "vocab_size", None)
    if told:
        return told
    places = [Path(Paths(f"results/{study.study}").tokenizer(name, "tokenizer.json"))]
    if folder := getattr(tokenizer, "path", None):
        places.append(Path(project_path(folder), "tokenizer.json"))
    for file in places:
        if file.is_file():
            return load_tokenizer(file)[1].vocab_size
    raise ValueError(
        f"tokenizers.{name}: how many entries it has is not known before it is made; make it with "
        f"`snakemake --cores 1 {places[0]} --configfile` and the study's file, or "
        f"give `--vocabulary {name}=NUMBER`"
    )


@cache
def _model_size(architecture: str, vocab_size: int, block_size: int) -> ModelSize:
    info = TokenizerInfo(vocab_size, bos_id=1, eos_id=2, pad_id=0, unk_id=3)
    with torch.device("meta"):  # shapes without numbers
        model = new_model(Architecture.model_validate_json(architecture), info, block_size, seed=0)
    counts = count_parameters(model)
    weights = sum(tensor.nbytes for tensor in named_weights(model).values())
    moments = MOMENTS * 4 * counts["trained"]
    flops = flops_per_token(model, block_size)
    return ModelSize(counts["parameters"], weights, weights + moments, flops)


def model_size(architecture: Architecture, vocab_size: int, block_size: int) -> ModelSize:
    """Counted on the model itself, built without its numbers."""
    return _model_size(architecture.model_dump_json(), vocab_size, block_size)


def probe_sizes(study: Study) -> dict[str, ProbeSize]:
    """Of each probe, as far as its stimuli are here."""
    return {name: _probe_size(study, probe) for name, probe in study.probes.items()}


def _probe_size(study: Study, probe: Probe) -> ProbeSize:
    if isinstance(probe, PerplexityProbe):
        return ProbeSize(tokens=probe.max_tokens, rows=1, text_bytes=100)
    file = _stimuli(study, probe)
    if not file.exists():
        return ProbeSize()
    if isinstance(probe, BinomialsProbe):
        if not Path(project_path(probe.prompts)).exists():
            return ProbeSize()
        items = read_words(file, probe.word1, probe.word2)
        prompts = read_prompts(Path(project_path(probe.prompts)), probe.max_prompts)
        text = len(prompts) * _bytes([item.alpha for item in items]) + len(items) * _bytes(prompts)
        return ProbeSize(2 * len(items) * len(prompts), None, len(items) * len(prompts), text)
    if isinstance(probe, MinimalPairsProbe):
        pairs = sampled(read_minimal_pairs(file), probe.sample)
        text = _bytes([pair.uid + pair.pair_id for pair in pairs])
        return ProbeSize(2 * len(pairs), None, len(pairs), text)
    questions = read_questions(file)
    text = _bytes([q.group + q.prompt + 2 * q.answer for q in questions])
    return ProbeSize(len(questions), None, len(questions), text)


def _stimuli(study: Study, probe: Probe) -> Path:
    """Where the stimuli of a probe are, or will be."""
    paths = Paths(f"results/{study.study}")
    if made_from := getattr(probe, "items_from", None):
        return Path(paths.corpus(made_from, "items.csv"))
    if made_from := getattr(probe, "pairs_from", None):
        return Path(paths.corpus(made_from, "pairs.csv"))
    return Path(project_path(probe.pairs if isinstance(probe, MinimalPairsProbe) else probe.items))


def _bytes(texts: list[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def _score_bytes(name: str, run: object, steps: list[int], probe: ProbeSize) -> int | None:
    """Of all score files of a run on a probe: in each row names, numbers and text."""
    if probe.rows is None or probe.text_bytes is None:
        return None
    per_step = getattr(run, "tokens_per_step", None) or 1_000_000
    columns = sum(len(f"{name},{checkpoint_name(s)},{s},{s * per_step},,") for s in steps)
    numbers = 3 * NUMBER_BYTES * len(steps)
    return round(probe.rows * (columns + numbers) + probe.text_bytes * len(steps))
