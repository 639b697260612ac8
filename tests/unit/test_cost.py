"""What a study costs, against numbers that are worked out here or published."""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import yaml
from safetensors.torch import load_file

from ontogeny.corpus.tokenizer import TokenizerInfo, make_characters, save_tokenizer
from ontogeny.cost import (
    ProbeSize,
    gpu_hours,
    model_size,
    probe_sizes,
    run_costs,
    total_cost,
    vocabulary,
)
from ontogeny.paths import PROJECT
from ontogeny.scoring.tables import Checkpoint, write_scores
from ontogeny.study import load_study
from ontogeny.study.models import Architecture, CharacterTokenizer
from ontogeny.training.model import new_model, save_checkpoint

HOUGHTON = PROJECT / "studies/binomials_houghton_2026.yaml"
OWN = {
    "study": "own",
    "corpora": {"text": {"source": "files", "files": ["text.txt"]}},
    "tokenizers": {
        "bpe": {"type": "bpe", "corpus": "text", "vocab_size": 300},
        "chars": {"type": "characters", "corpus": "text"},
    },
    "architectures": {
        "gpt": {"model_type": "gpt2", "config": {"n_embd": 8, "n_layer": 2, "n_head": 2}}
    },
    "probes": {
        "held-out": {"type": "perplexity", "max_tokens": 700},
        "pairs": {"type": "minimal_pairs", "pairs": "absent.csv"},
    },
    "runs": {
        "one": {
            "corpus": "text",
            "tokenizer": "bpe",
            "architecture": "gpt",
            "steps": 10,
            "block_size": 16,
            "batch_size": 4,
            "checkpoints": {"every_steps": 5},
        }
    },
}


def houghton(scale=None):
    study = yaml.safe_load(HOUGHTON.read_text())
    return load_study(study | ({"scale": scale} if scale else {}))


@pytest.fixture
def items(tmp_path):
    words = [("bread", "butter"), ("cats", "dogs"), ("salt", "vinegar")]
    path = tmp_path / "items.csv"
    rows = [f"{a},{b},1,3,0.5" for a, b in words]
    path.write_text("\n".join(["Word1,Word2,Attested,OverallFreq,RelFreq", *rows]) + "\n")
    return path


# ---------------------------------------------------------------------------- models


@pytest.mark.parametrize(
    ("scale", "name", "parameters", "layers", "width"),
    [  # published shapes; "350M" without a final layer norm, and with one (2 x 1,024 more)
        (None, "opt-125m", 92_135_424, 12, 768),
        ("published", "opt-350m", 311_748_608, 24, 1024),
        (None, "opt-350m", 311_748_608 + 2_048, 24, 1024),
        (None, "opt-1.3b", 1_227_481_088, 24, 2048),
    ],
)
def test_published_numbers_of_parameters(scale, name, parameters, layers, width):
    size = model_size(houghton(scale).architectures[name], 8192, 1024)
    assert size.parameters == parameters
    assert size.checkpoint_bytes == 4 * parameters  # the tied matrix once
    assert size.state_bytes == 12 * parameters  # weights and two moments
    assert size.flops == 6 * parameters + 12 * layers * width * 1024


@pytest.mark.parametrize("biases", [True, False])
def test_sizes_are_those_of_the_files(tmp_path, biases):
    config = {"n_embd": 8, "n_layer": 1, "n_head": 1, "n_positions": 16}
    architecture = Architecture(model_type="gpt2", config=config, biases=biases)
    size = model_size(architecture, 40, 16)
    model = new_model(architecture, TokenizerInfo(40, 1, 2, 0, 3), 16, seed=0)
    save_checkpoint(model, tmp_path / "model.safetensors", tmp_path / "config.json")
    tensors = load_file(tmp_path / "model.safetensors")
    assert size.checkpoint_bytes == sum(tensor.nbytes for tensor in tensors.values())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert size.state_bytes == size.checkpoint_bytes + 2 * 4 * trained
    assert (trained < size.parameters) == (not biases)


# ---------------------------------------------------------------------------- runs


def test_the_published_study():
    costs = {cost.run: cost for cost in run_costs(houghton(), {})}
    assert len(costs) == 6
    babylm, c4 = costs["opt-125m-babylm"], costs["opt-350m-c4"]
    assert (babylm.steps, babylm.tokens) == (10_944, 8_965_324_800)
    assert (c4.steps, c4.tokens) == (8_138, 8_138 * 1_228_800)
    # 912 as published, and step 0; 1,016, one multiple more, step 0, and the last step
    assert [cost.checkpoints for cost in costs.values()] == [913] * 3 + [1016 + 3] * 3
    assert babylm.checkpoint_bytes == 913 * 4 * 92_135_424
    flops = (6 * 92_135_424 + 12 * 12 * 768 * 1024) * 8_965_324_800
    assert babylm.flops == flops == pytest.approx(5.97e18, rel=1e-3)
    assert gpu_hours(flops, 989, 0.4) == pytest.approx(5.9716e18 / (0.4 * 989e12 * 3600), rel=1e-4)
    assert babylm.score_files == 3 * 913
    total = total_cost(list(costs.values()))
    assert total.tokens == 3 * 8_965_324_800 + 2 * 12_207 * 819_200 + 8_138 * 1_228_800
    assert total.checkpoints == 3 * 913 + 3 * 1019
    assert (total.parameters, total.steps) == (None, None)


@pytest.mark.parametrize("scale", [None, "published", "first-write-up"])
def test_every_published_step_is_a_checkpoint(scale):
    runs = houghton(scale).runs
    for name in ("opt-125m", "opt-350m", "opt-1.3b"):
        stride = 8 if name == "opt-350m" else 12
        epochs = 171 if stride == 12 else 114  # steps of one
        babylm, c4 = runs[f"{name}-babylm"], runs[f"{name}-c4"]
        last = epochs * (100 if scale == "first-write-up" else 64)
        assert babylm.last_step == last
        published = range(stride, last + 1, stride)
        assert len(published) == (1425 if scale == "first-write-up" else 912)
        assert babylm.checkpoint_steps() == [0, *published]
        tags = range(stride, 1016 * stride + 1, stride)
        assert {0, *tags, c4.last_step} <= set(c4.checkpoint_steps())
        assert (tags[-1], c4.last_step) == ((8_128, 8_138) if stride == 8 else (12_192, 12_207))


def test_every_published_step_of_the_ablation_is_a_checkpoint():
    study = load_study(
        yaml.safe_load((HOUGHTON.parent / "ablation_houghton_2026.yaml").read_text())
    )
    for size, last, stride, end in (
        ("125m", 2_000, 12, 1_992),
        ("350m", 4_000, 24, 3_984),
        ("1.3b", 3_200, 19, 3_192),
    ):
        for corpus in ("whole", "ablated"):
            run = study.runs[f"opt-{size}-{corpus}"]
            assert run.last_step == last
            assert run.checkpoint_steps() == [0, *range(stride, end + 1, stride), last]


def test_warm_up_is_as_long_in_tokens_or_as_published_in_steps():
    for scale, tokens in ((None, 4000 * 819_200), ("published", 4000 * 1_228_800)):
        runs = houghton(scale).runs
        assert runs["opt-350m-c4"].optimizer.warmup_tokens == tokens
        assert runs["opt-1.3b-c4"].optimizer.warmup_tokens == 4000 * 819_200
        assert {run.optimizer.lr for run in runs.values()} == {3e-4, 1e-4}
    published = houghton("published").architectures
    assert published["opt-350m"].config["do_layer_norm_before"] is False


def test_a_run_by_hand():
    (cost,) = run_costs(load_study(OWN), {})
    assert (cost.steps, cost.tokens, cost.checkpoints) == (10, 640, 3)
    layer = 4 * 8 * 8 + 4 * 8 + 2 * 4 * 8 * 8 + 5 * 8 + 4 * 8  # attention, MLP, two norms
    assert cost.parameters == 300 * 8 + 1024 * 8 + 2 * layer + 16
    assert cost.flops == 640 * (6 * cost.parameters + 12 * 2 * 8 * 16)
    assert cost.score_files == 2 * 3
    assert 3 * 100 < cost.score_bytes < 3 * 300  # of the probe that can be known


def test_what_a_run_is_not_scored_on_costs_nothing():
    pairs = {**OWN["probes"]["pairs"], "only_corpora": ["other"]}
    corpora = {**OWN["corpora"], "other": OWN["corpora"]["text"]}
    study = {**OWN, "corpora": corpora, "probes": {**OWN["probes"], "pairs": pairs}}
    (cost,) = run_costs(load_study(study), {})
    assert cost.score_files == 1 * 3


def test_checkpoints_that_are_not_kept_take_a_segment_of_disk():
    run = {**OWN["runs"]["one"], "checkpoints": {"every_steps": 1, "per_segment": 4}}
    (kept,) = run_costs(load_study({**OWN, "runs": {"one": run}}), {})
    study = {**OWN, "runs": {"one": run}, "keep_checkpoints": "none"}
    (removed,) = run_costs(load_study(study), {})
    each = 4 * kept.parameters
    assert kept.checkpoint_bytes == 11 * each
    assert removed.checkpoint_bytes == 5 * each  # of the first segment, step 0 included
    assert removed.checkpoints == 11


def test_runs_that_are_not_trained_here(tmp_path):
    (tmp_path / "list.csv").write_text(
        "revision,step,tokens,commit,sha256\n"
        + "".join(f"step-{n},{n},{n * 10},{n:040x},{n:064x}\n" for n in (1, 2, 4))
    )
    run = {"source": "hub", "model": "owner/name", "tokenizer": "chars"}
    run["revisions"] = str(tmp_path / "list.csv")
    probes = {"held-out": {"type": "perplexity", "corpus": "text"}}
    (cost,) = run_costs(load_study({**OWN, "probes": probes, "runs": {"theirs": run}}), {})
    assert (cost.parameters, cost.flops, cost.checkpoint_bytes) == (None, None, None)
    assert (cost.checkpoints, cost.score_files) == (3, 3)
    assert total_cost([cost]).flops is None


# ---------------------------------------------------------------------------- tokenizers


def test_a_vocabulary_is_told_or_known_or_asked_for():
    study = load_study(OWN)
    assert vocabulary(study, "bpe", {}) == 300
    assert vocabulary(study, "bpe", {"bpe": 299}) == 299
    assert vocabulary(study, "chars", {"chars": 51}) == 51
    with pytest.raises(ValueError, match=r"tokenizers.chars: .* give `--vocabulary chars=NUMBER`"):
        vocabulary(study, "chars", {})


def test_a_vocabulary_is_that_of_the_tokenizer_that_is_there(tmp_path, monkeypatch):
    spec = CharacterTokenizer(type="characters", corpus="text")
    folder = tmp_path / "results/own/tokenizers/chars"
    folder.mkdir(parents=True)
    tokenizer = make_characters(spec, ["abcab"])
    save_tokenizer(tokenizer, folder / "tokenizer.json", folder / "tokenizer_config.json")
    monkeypatch.chdir(tmp_path)
    assert vocabulary(load_study(OWN), "chars", {}) == tokenizer.get_vocab_size()


# ---------------------------------------------------------------------------- scores


def test_strings_and_rows_of_probes(items, tmp_path):
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("good,bad\n" + "".join(f"a {n},b {n}\n" for n in range(5)))
    questions = tmp_path / "questions.csv"
    questions.write_text("prompt,answer\n1+1=,2\n1+2=,3\n")
    references = {"relative_frequency": {"column": "RelFreq"}}
    prompts = {"prompts": "data/prompts/prompts.csv", "references": references}
    probes = {
        "binomials": {"type": "binomials", "items": str(items), **prompts},
        "few": {"type": "binomials", "items": str(items), "max_prompts": 2, **prompts},
        "pairs": {"type": "minimal_pairs", "pairs": str(pairs)},
        "questions": {"type": "completions", "items": str(questions)},
        "text": {"type": "perplexity", "max_tokens": 700},
        "absent": {"type": "minimal_pairs", "pairs": "absent.csv"},
    }
    sizes = probe_sizes(load_study({**OWN, "probes": probes}))
    assert {name: (size.strings, size.rows) for name, size in sizes.items()} == {
        "binomials": (2 * 3 * 51, 3 * 51),  # both orders in each of the 51 prompts that ship
        "few": (2 * 3 * 2, 3 * 2),
        "pairs": (10, 5),
        "questions": (2, 2),
        "text": (None, 1),
        "absent": (None, None),
    }
    assert sizes["text"].tokens == 700
    assert sizes["absent"] == ProbeSize()


def test_score_files_are_about_as_large_as_estimated(items, tmp_path):
    references = {"relative_frequency": {"column": "RelFreq"}}
    probe = {"type": "binomials", "items": str(items), "references": references}
    study = load_study({**OWN, "probes": {"binomials": probe}})
    (cost,) = run_costs(study, {})
    generator = np.random.default_rng(0)
    prompts = pl.read_csv(PROJECT / "data/prompts/prompts.csv")["prompt"].unique().to_list()
    binomials = ["bread and butter", "cats and dogs", "salt and vinegar"]
    n = len(prompts) * 3
    scores = generator.normal(-40, 10, (3, n)).astype(np.float32)
    table = pl.DataFrame(
        {
            "prompt": np.repeat(np.array(prompts, dtype=object), 3),
            "binom": binomials * len(prompts),
            **dict(zip(("alpha_logprob", "nonalpha_logprob", "preference"), scores, strict=True)),
        }
    )
    for step in (0, 5, 10):
        path = tmp_path / f"{step}.csv"
        write_scores(path, Checkpoint("one", f"step-{step:08d}", step, step * 64), table)
    written = sum((tmp_path / f"{step}.csv").stat().st_size for step in (0, 5, 10))
    assert cost.score_bytes == pytest.approx(written, rel=0.03)


# ---------------------------------------------------------------------------- the script


def call(*args):
    command = [sys.executable, str(PROJECT / "scripts/cost.py"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=600)


def test_the_table_and_the_csv(tmp_path):
    done = call(HOUGHTON, "--scale", "published", "--mfu", "0.5", "--csv", tmp_path / "cost.csv")
    assert done.returncode == 0, done.stderr
    assert "binomials_houghton_2026-published: H100 (989 TFLOP/s) at an MFU of 0.5" in done.stdout
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| ")]
    cells = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}
    assert cells["opt-350m-babylm"][:3] == ["311,748,608", "7,296", "8,965,324,800"]
    assert cells["held-out"] == ["perplexity", "", "500,000", "1"]
    assert len({len(line) for line in done.stdout.splitlines() if line.startswith("| opt")}) == 1
    table = pl.read_csv(tmp_path / "cost.csv")
    assert table["checkpoints"].to_list() == [913] * 3 + [1019] * 3
    per_token = 6 * 92_135_424 + 12 * 12 * 768 * 1024
    assert table["gpu_hours"][0] == pytest.approx(per_token * 8_965_324_800 / 989e12 / 1800)


def test_mistakes_are_told_in_a_line(tmp_path):
    study = tmp_path / "study.yaml"
    tokenizer = {"runs": {"one": {**OWN["runs"]["one"], "tokenizer": "chars"}}}
    study.write_text(yaml.safe_dump({**OWN, **tokenizer}))
    done = call(study)
    assert done.returncode == 1
    assert done.stderr.startswith("error: tokenizers.chars: how many entries it has is not known")
    assert "should be TOKENIZER=ENTRIES" in call(study, "--vocabulary", "chars").stderr
    told = f"error: {study}: scale: 'smal' is not defined; none is defined\n"
    assert call(study, "--scale", "smal").stderr == told
