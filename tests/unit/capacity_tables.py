"""Made-up runs of several sizes, corpora and seeds, for the tests of capacity."""

import numpy as np
import polars as pl

from ontogeny.analysis import completions
from ontogeny.analysis.capacity import Run, capacity, curves

TOKENS_PER_STEP = 8_000
SIZES = {"n14": 1_456, "n28": 5_264, "n56": 19_936, "mlt": 10_628_352}
PROBES = {
    "arithmetic": {
        "addition": 98,
        "addition withheld": 2,
        "subtraction": 98,
        "subtraction withheld": 2,
    },
    "capitals": {"all": 50},
}
CORPORA = {"arithmetic": ["arithmetic"], "capitals": ["capitals"], "both": list(PROBES)}


def completion_table(run, right, samples=1):
    """`right`: from step to {(probe, class): (right answers, items)}; `all` is added."""
    rows = []
    for step, sets in right.items():
        for probe in dict.fromkeys(probe for probe, _ in sets):
            counts = {name: both for (of, name), both in sets.items() if of == probe}
            sums = np.sum(list(counts.values()), axis=0)
            for name, (correct, n) in ({"all": sums} | counts).items():
                rows.append(
                    {
                        "run": run,
                        "checkpoint": f"step-{step:08d}",
                        "step": step,
                        "tokens": step * TOKENS_PER_STEP,
                        "probe": probe,
                        "class": name,
                        "n": n,
                        "samples": samples,
                        "accuracy": float(correct) / float(n),
                    }
                )
    return pl.DataFrame(rows, schema=completions.COLUMNS)


def loss_table(losses):
    """`losses`: from step to loss."""
    return pl.DataFrame(
        {"step": list(losses), "loss": list(losses.values())},
        schema={"step": pl.Int64, "loss": pl.Float64},
    )


def labels(run, family="n14", architecture="n14", corpus="arithmetic", seed=1, weight_decay=0.0):
    return {
        "run": run,
        "family": family,
        "architecture": architecture,
        "corpus": corpus,
        "weight_decay": weight_decay,
        "parameters": SIZES.get(architecture, 1_000),
        "seed": seed,
    }


def made_up_run(corpus="arithmetic", architecture="n14", weight_decay=0.0, seed=1, steps=None):
    """The smallest learns slowly, and what it learns holds for what is withheld; others learn what
    they read and nothing else. On both corpora the smallest learns a third of the sums, on capitals
    next to nothing."""
    steps = steps or range(0, 30_001, 250)
    noise = np.random.default_rng([seed, *f"{corpus} {architecture} {weight_decay}".encode()])
    last, small = max(steps), architecture == "n14"
    speed = {"n14": 12, "n28": 20}.get(architecture, 60) / (1 + weight_decay * 5)
    right = {}
    for step in steps:
        t, right[step] = step / last, {}
        for probe in CORPORA[corpus]:
            top = {"both": 0.35, "capitals": 0.1}.get(corpus, 1.0) if small else 1.0
            for place, (name, n) in enumerate(PROBES[probe].items()):
                learned = top * (1 - np.exp(-speed * t / (1 + place / 4)))
                learned += 0.1 * top * noise.normal() * (1 - t) * (step > 0)
                if "withheld" in name and not small:
                    learned = 0.0
                right[step][probe, name] = (noise.binomial(n, min(max(learned, 0), 1)), n)
    family = f"{architecture}-{corpus}" + ("-wd" if weight_decay else "")
    run, every = f"{family}-{seed}", max(last // 3000, 1)
    losses = {s: 0.5 + weight_decay + 2 * np.exp(-8 * s / last) for s in range(1, last + 1, every)}
    return Run(
        labels(run, family, architecture, corpus, seed, weight_decay),
        completion_table(run, right),
        loss_table(losses),
    )


def made_up_study(corpora=tuple(CORPORA), sizes=tuple(SIZES), decays=(0.0, 0.1), seeds=3, **keys):
    """Tables of capacity and of curves of runs over all combinations."""
    runs = [
        made_up_run(corpus, size, decay, seed, **keys)
        for corpus in corpora
        for size in sizes
        for decay in decays
        for seed in range(1, seeds + 1)
    ]
    return pl.concat(map(capacity, runs)), pl.concat(map(curves, runs))
