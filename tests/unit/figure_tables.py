"""Tables like those of real runs, for the tests of figures."""

import numpy as np
import polars as pl

from ontogeny.figures.tables import SEEDS

LONG = [0, *range(9_830_400, 8_970_000_000, 9_830_400)]  # 912 checkpoints and step 0


def synthetic_correlations(
    run="opt-s-diverse",
    tokens=None,
    groups=("all", "attested", "nonce", "attested-1of3", "attested-2of3", "attested-3of3"),
    references=("human", "truth", "relative_frequency"),
    probes=("binomials",),
    seed=0,
):
    """Attested items rise to about .8 (frequent ones first), nonce items to .7 and fall to .4.

    r at 0 tokens is null; `relative_frequency` has no nonce items.
    """
    if tokens is None:
        tokens = [0, *np.geomspace(4096, 3_000_000, 14).astype(int)]
    noise = np.random.default_rng(seed)
    sizes = {"all": 420, "attested": 300, "nonce": 120}
    first, last = np.log(4096), np.log(max(*tokens, 3_000_000))
    rows = []
    for probe in probes:
        for reference in references:
            for group in groups:
                if reference == "relative_frequency" and group in ("all", "nonce"):
                    continue
                n = sizes.get(group, 100)
                late = {"attested-1of3": 0.75, "attested-3of3": 0.35}.get(group, 0.5)
                top = {"attested-1of3": 0.45, "attested-3of3": 0.9, "nonce": 0.7}.get(group, 0.8)
                for step, count in enumerate(tokens):
                    row = {
                        "run": run,
                        "checkpoint": f"step-{step:08d}",
                        "step": step,
                        "tokens": int(count),
                        "probe": probe,
                        "group": group,
                        "reference": reference,
                        "n": n,
                        "r": None,
                        "r_low": None,
                        "r_high": None,
                    }
                    if count > 0:
                        t = (np.log(count) - first) / (last - first)
                        r = top / (1 + np.exp(-(t - late * 0.8) * 14))
                        if group == "nonce":
                            r -= 0.3 / (1 + np.exp(-(t - 0.8) * 20))
                        z = np.arctanh(r) + noise.normal() / np.sqrt(n - 3)
                        half = 1.96 / np.sqrt(n - 3)
                        row |= dict(
                            zip(
                                ("r_low", "r", "r_high"),
                                np.tanh([z - half, z, z + half]),
                                strict=True,
                            )
                        )
                    rows.append(row)
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(("r", "r_low", "r_high"), pl.Float64))


def synthetic_losses(steps=200, tokens_per_step=16_384, run="opt-s-diverse", seed=0):
    noise = np.random.default_rng(seed)
    step = np.arange(1, steps + 1)
    tokens = step * tokens_per_step
    loss = 2.2 + 6.8 * (1 + tokens / 1.5e5) ** -0.6 + noise.normal(0, 0.08, steps)
    warmup = max(steps // 20, 1)
    lr = 3e-4 * np.minimum(step / warmup, (steps - step) / max(steps - warmup, 1))
    return pl.DataFrame(
        {
            "run": run,
            "step": step,
            "tokens": tokens,
            "epoch": tokens / 2e6,
            "loss": loss,
            "lr": lr,
            "grad_norm": 1.0,
        }
    )


def synthetic_perplexity(
    tokens=None, run="opt-s-diverse", probes=(("heldout", "diverse", 51_234),)
):
    if tokens is None:
        tokens = [0, *np.geomspace(4096, 3_000_000, 14).astype(int)]
    tokens = np.asarray(tokens)
    parts = []
    for offset, (probe, corpus, n_tokens) in enumerate(probes):
        loss = 2.2 + 0.4 * offset + (6.8 - 0.4 * offset) * (1 + tokens / 1.5e5) ** -0.6
        parts.append(
            pl.DataFrame(
                {
                    "run": run,
                    "checkpoint": [f"step-{i:08d}" for i in range(len(tokens))],
                    "step": np.arange(len(tokens)),
                    "tokens": tokens,
                    "probe": probe,
                    "corpus": corpus,
                    "n_tokens": n_tokens,
                    "loss": loss,
                    "perplexity": np.exp(loss),
                    "bits_per_byte": loss / 3,
                    "kl_unigram": None,
                    "kl_bigram": None,
                }
            )
        )
    return pl.concat(parts)


def synthetic_seeds(
    families=("opt-s", "opt-m"),
    tokens=None,
    groups=("all", "attested", "nonce", "attested-1of3", "seen", "seen-1of5"),
    references=("human", "relative_frequency"),
    probes=("grammar",),
    n_seeds=5,
):
    """r and accuracy rise; r is null at 0 tokens. Intervals of less than two seeds are null."""
    if tokens is None:
        tokens = [0, *np.geomspace(4096, 3_000_000, 14).astype(int)]
    r = [("r", "binomials", group, one, None, None) for one in references for group in groups]
    accuracy = [
        ("accuracy", probe, None, None, phenomenon, uid)
        for probe in probes
        for phenomenon, uid in (("all", "all"), ("agreement", "all"), ("agreement", "across"))
    ]
    rows = []
    for family in families:
        for step, count in enumerate(tokens):
            for number, (statistic, probe, *place) in enumerate(r + accuracy):
                mean = 0.1 + 0.07 * np.log10(count + 1) + 0.01 * number
                defined = count > 0 or statistic == "accuracy"
                known = defined and n_seeds > 1
                rows.append(
                    (family, f"step-{step:08d}", int(count), probe, *place, statistic, 60)
                    + (n_seeds if defined else 0, mean if defined else None)
                    + ((mean - 0.05, mean + 0.05) if known else (None, None))
                )
    return pl.DataFrame(rows, schema=SEEDS, orient="row")
