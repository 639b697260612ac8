"""People's choices: read, refused where a line is wrong, and regressed on preferences."""

import numpy as np
import pytest
import statsmodels.api as sm
from planted_items import by_term, centred, observed

from ontogeny.analysis.responses import response_regressions
from ontogeny.inputs import check_inputs
from ontogeny.scoring.stimuli.binomials import Binomial
from ontogeny.scoring.stimuli.responses import choices_by_item, read_responses
from ontogeny.study import StudyError
from ontogeny.study.models import Study

ITEMS = [Binomial("bread", "butter", True, 1.0), Binomial("c.", "D.", True, 1.0)]
HEADER = "participant,Word1,Word2,resp"


def write(folder, *lines, header=HEADER):
    path = folder / "responses.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_choices_are_counted_by_item(tmp_path):
    path = write(
        tmp_path,
        "1,bread,butter,alpha",
        "2,Bread,Butter,nonalpha",
        "3,bread , butter,alpha",
        "1,c.,d.,nonalpha",
    )
    assert choices_by_item(read_responses(path), ITEMS, path) == [(2, 1), (0, 1)]
    assert choices_by_item([], ITEMS, path) == [(0, 0), (0, 0)]


def test_choices_are_of_the_order_of_their_row(tmp_path):
    path = write(
        tmp_path,
        "1,bread,butter,first",  # bread and butter
        "2,butter,bread,first",  # butter and bread
        "3,butter,bread,second",
        "4,D.,c.,first",
    )
    assert choices_by_item(read_responses(path), ITEMS, path) == [(2, 1), (0, 1)]
    turned = [Binomial("butter", "bread", True, 1.0), Binomial("D.", "c.", True, 1.0)]
    assert choices_by_item(read_responses(path), turned, path) == [(1, 2), (1, 0)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,bread,butter,1", "line 3: resp is '1', should be first or second (or, of words"),
        ("1,bread,butter,Alpha", "line 3: resp is 'Alpha'"),
        ("1,,butter,alpha", "line 3: Word1 is empty"),
        ("1,bread,butter", "line 3: 4 columns in the header, but not in this row"),
        ("1,bread,jam,alpha", "line 3: 'bread and jam' is no item; it should be one of"),
        ("1,butter,bread,alpha", "resp is 'alpha', but 'butter' comes after 'bread' in the alph"),
        ("1,butter,bread,nonalpha", "resp is 'nonalpha', but 'butter' comes after 'bread'"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    path = write(tmp_path, "1,bread,butter,alpha", line)
    with pytest.raises(ValueError) as caught:
        choices_by_item(read_responses(path), ITEMS, path)
    assert str(caught.value).startswith(f"{path}")
    assert message in str(caught.value)


def test_every_wrong_line_is_named_and_missing_columns_too(tmp_path):
    path = write(tmp_path, *["1,bread,butter,yes"] * 12)
    with pytest.raises(ValueError, match=r"line 2: .*(\n.*){9}\n... and 2 more"):
        read_responses(path)
    with pytest.raises(ValueError, match="column 'resp' is missing"):
        read_responses(write(tmp_path, "bread,butter", header="Word1,Word2"))
    with pytest.raises(ValueError, match="there is no such file"):
        read_responses(tmp_path / "none.csv")


def study(folder, **probe):
    (folder / "items.csv").write_text(
        "Word1,Word2,OverallFreq,GenPref,Attested\nbread,butter,900,0.7,1\n"
    )
    (folder / "prompts.csv").write_text("prompt\nx \n")
    (folder / "text.txt").write_text("bread and butter\n")
    return Study.model_validate(
        {
            "study": "test",
            "corpora": {"c": {"source": "files", "files": [str(folder / "text.txt")]}},
            "tokenizers": {"t": {"type": "characters", "corpus": "c"}},
            "architectures": {},
            "probes": {
                "b": {
                    "type": "binomials",
                    "items": str(folder / "items.csv"),
                    "prompts": str(folder / "prompts.csv"),
                    "references": {"human": {"column": "GenPref"}},
                    **probe,
                }
            },
            "runs": {},
        }
    )


def test_choices_are_checked_before_any_job_starts(tmp_path):
    good = write(tmp_path, "1,bread,butter,alpha")
    check_inputs(study(tmp_path, responses=str(good)))
    bad = write(tmp_path, "1,bread,butter,alpha", "1,salt,vinegar,alpha", "1,bread,butter,no")
    with pytest.raises(StudyError, match=r"probes\.b\.responses: .*line 4: resp is 'no'"):
        check_inputs(study(tmp_path, responses=str(bad)))
    write(tmp_path, "1,salt,vinegar,alpha")
    with pytest.raises(StudyError, match=r"probes\.b\.responses: .*'salt and vinegar' is no item"):
        check_inputs(study(tmp_path, responses=str(bad)))


# ---------------------------------------------------------------------------- regressions


def asked(rng, preference, slope, most=60, item_sd=0.0):
    """Choices of each item, alphabetical and other, from a logit of z(preference)."""
    log_odds = 0.3 + slope * centred(preference) + item_sd * rng.normal(size=len(preference))
    trials = rng.integers(1, most, len(preference))
    chosen = rng.binomial(trials, 1 / (1 + np.exp(-log_odds)))
    return list(zip(chosen.tolist(), (trials - chosen).tolist(), strict=True))


def test_choices_are_regressed_as_by_a_logit_of_each_choice():
    rng = np.random.default_rng(18)
    preference = rng.normal(2, 3, size=(2, 50))
    choices = asked(rng, preference[0], 0.8, item_sd=0.5)
    choices[4] = choices[9] = (0, 0)
    table = response_regressions(observed(preference), choices)
    kept = np.array([i for i in range(50) if i not in (4, 9)])
    ones = np.concatenate([[1] * choices[i][0] + [0] * choices[i][1] for i in kept])
    groups = np.repeat(np.arange(48), [sum(choices[i]) for i in kept])
    x = sm.add_constant(centred(preference[0, kept]))[groups]
    theirs = sm.Logit(ones, x).fit(disp=0, cov_type="cluster", cov_kwds={"groups": groups})
    rows = by_term(table.filter(step=1))
    n = len(ones)
    for term, estimate, se in zip(rows, theirs.params, theirs.bse, strict=True):
        assert rows[term]["estimate"] == pytest.approx(estimate, abs=1e-6)
        assert se < rows[term]["se"] < 1.15 * se  # the jackknife is a little wider
        assert rows[term]["r2"] == pytest.approx(theirs.prsquared, abs=1e-9)
        assert (rows[term]["n"], rows[term]["n_items"]) == (n, 48)
    assert set(table["items"]) == {"answered"}


def test_the_slope_of_choices_comes_back_and_none_where_none_was_planted():
    rng = np.random.default_rng(19)
    for slope, average in ((0.9, 0.872), (0.0, 0.0)):  # a logit averaged over items is flatter
        held = 0
        for _ in range(60):
            preference = rng.normal(size=(1, 120))
            table = response_regressions(
                observed(preference), asked(rng, preference[0], slope, item_sd=0.4)
            )
            row = by_term(table)["preference_z"]
            held += row["lo"] <= average <= row["hi"]
        assert 52 <= held <= 60


def test_choices_that_can_not_be_regressed_are_null():
    always = [(5, 0)] * 6 + [(0, 5)] * 6
    separated = observed([np.repeat([1.0, -1.0], 6), np.ones(12)])
    assert response_regressions(separated, always)["estimate"].null_count() == 4
    assert response_regressions(separated, [(3, 0)] * 12)["estimate"].null_count() == 4
    few = response_regressions(separated, [(3, 1)] * 3 + [(0, 0)] * 9)
    assert few["estimate"].null_count() == 4
    nobody = response_regressions(separated, [(0, 0)] * 12)
    assert nobody["n"].to_list() == [0] * 4
