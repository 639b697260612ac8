"""Each item is defined at each checkpoint, in one order, with a stated rule for zeros."""

import numpy as np
import polars as pl
import pytest
from planted_items import tables_of

from ontogeny.analysis.observations import Exposures, observations
from ontogeny.scoring.stimuli.binomials import Binomial
from ontogeny.study.probes import BinomialsProbe


def test_every_item_has_a_log_ratio_whatever_its_counts():
    seen = Exposures("corpus", np.array([[0, 3, 0, 2]]), np.array([[0, 0, 3, 2]]))
    assert seen.log_ratio[0] == pytest.approx([0, np.log(7), -np.log(7), 0])
    assert seen.relative[0] == pytest.approx([0.5, 3.5 / 4, 0.5 / 4, 0.5])
    assert seen.relative[0] == pytest.approx(1 / (1 + np.exp(-seen.log_ratio[0])))
    assert seen.log_total[0] == pytest.approx(np.log([1, 4, 4, 5]))


PROBE = BinomialsProbe(type="binomials", items="x", references={"human": {"column": "GenPref"}})


def test_observations_are_in_the_order_of_tokens_and_items_whatever_that_of_the_rows():
    names = [("Mr.", "Mrs."), ("a.b.", "m.a."), ("colonel", "Mrs."), ("20s", "30s")]
    items = [Binomial(*words, i < 3, 1.0, {"human": 0.25 * i}) for i, words in enumerate(names)]
    counts = np.array(
        [[[0, 0]] * 4, [[1, 0], [0, 0], [0, 2], [0, 0]], [[1, 1], [0, 0], [0, 5], [3, 0]]]
    )
    preferences, exposures = tables_of(items, counts, [0, 9, 1000])
    shuffled = [t.sample(fraction=1, shuffle=True, seed=1) for t in (preferences, exposures)]
    seen = observations(shuffled[0], items, PROBE, shuffled[1], "r", "p")
    assert seen.tokens.tolist() == [0, 9_000, 1_000_000]
    assert seen.preference.tolist() == np.arange(12.0).reshape(3, 4).tolist()
    assert np.stack([seen.exposures.alpha, seen.exposures.nonalpha], -1).tolist() == counts.tolist()
    assert seen.prior.tolist() == [0, 0.25, 0.5, 0.75]
    sets = {name: members.tolist() for name, members in seen.sets.items()}
    assert sets == {
        "all": [0, 1, 2, 3],
        "attested": [0, 1, 2],
        "nonce": [3],
        "seen": [0, 2, 3],
        "both_orders": [0],
    }
    with pytest.raises(ValueError, match="step-00000009 has none of '20s and 30s'"):
        observations(preferences, items, PROBE, exposures.filter(
            ~((pl.col("binom") == "20s and 30s") & (pl.col("step") == 9))), "r", "p")  # fmt: skip


def outside(shares, frequencies=None, **keys):
    frequencies = frequencies or [1000.0] * len(shares)
    items = [
        Binomial(f"a{i}", f"b{i}", bool(frequency), frequency, {"relative_frequency": share})
        for i, (share, frequency) in enumerate(zip(shares, frequencies, strict=True))
    ]
    preferences, _ = tables_of(items, np.zeros((2, len(items), 2)), [0, 1])
    references = {"relative_frequency": {"column": "RelFreq"}}
    probe = BinomialsProbe(type="binomials", items="x", references=references)
    return observations(preferences, items, probe, None, "r", "p", **keys)


def test_a_run_of_someone_else_has_the_exposures_of_the_items_file():
    seen = outside([0.0, 1.0, 0.25, None, 0.5], [1000.0, 1000.0, 8.0, 5.0, 0.0])
    ratio = seen.exposures.log_ratio
    assert ratio.shape == (2, 5)
    expected = [np.log(0.5 / 1000.5), np.log(1000.5 / 0.5), np.log(2.5 / 6.5), 0, 0]
    assert ratio[1] == pytest.approx(expected)
    assert seen.exposures.source == "outside"
    assert seen.sets["counted"].tolist() == [0, 1, 2]
    assert seen.sets["both_orders"].tolist() == [2]
    assert "seen" not in seen.sets
    assert outside([None, 0.5], [3.0, None]).exposures is None
    with pytest.raises(ValueError, match=r"'a1 and b1' is 1.5, should be the share"):
        outside([0.5, 1.5])
