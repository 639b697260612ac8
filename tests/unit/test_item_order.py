"""Pairs that are not in alphabetical order: what is of an order is turned with them, and nothing
else; or nothing is, where the probe says so."""

import csv
import math

import pytest
from pydantic import ValidationError

from ontogeny.analysis.groups import read_items
from ontogeny.interventions.items import chosen_items, read_counts
from ontogeny.paths import PROJECT
from ontogeny.scoring.stimuli.binomials import read_all_weights, read_binomials, read_words
from ontogeny.scoring.stimuli.remarks import remarks
from ontogeny.study.corpora import InsertCorpus
from ontogeny.study.probes import BinomialsProbe

PUBLISHED = PROJECT.parent / "shared/data/binomials/nonce_and_attested_binoms.csv"
WEIGHTS = PROJECT / "data" / "human_norms" / "constraint_weights.csv"
CONSTRAINTS = ["Form", "Percept", "Culture", "Power", "Intense", "Icon", "Freq", "Len", "Lapse"]
CONSTRAINTS += ["*BStress"]
REFERENCES = {
    "share": {"column": "Share"},
    "odds": {"column": "Odds", "midpoint": 0},
    "rating": {"column": "Rating", "midpoint": 4},
    "alphabetical": {"column": "Rating", "midpoint": 4, "of": "alphabetical"},
    "ratio": {"log_ratio": ["Here", "There"]},
    "weighed": {"weights": "weights.csv"},
}
HEADER = "Word1,Word2,Attested,OverallFreq,Share,Odds,Rating,Here,There,Form"
SALT = "salt,pepper,1,9,0.75,1.5,6,30,10,2"
BREAD = "bread,butter,1,5,0.75,1.5,6,30,10,2"
FORM = {"weighed": {"intercept": 0.5, "Form": 0.25}}


def probe(**keys):
    keys = {"type": "binomials", "items": "x", "references": REFERENCES, **keys}
    return BinomialsProbe(**keys, constraints=["Form"])


def file_of(folder, *lines, header=HEADER, name="items.csv"):
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def logistic(x):
    return 1 / (1 + math.exp(-x))


def test_what_is_of_an_order_is_turned_with_the_words(tmp_path):
    salt, bread = read_binomials(file_of(tmp_path, SALT, BREAD), probe(), FORM)
    assert (salt.alpha, salt.given, salt.turned) == ("pepper and salt", "salt and pepper", True)
    assert (bread.alpha, bread.given, bread.turned) == ("bread and butter",) * 2 + (False,)
    assert (salt.frequency, bread.frequency) == (9, 5)  # of both orders together
    assert (salt.constraints, bread.constraints) == ({"Form": -2}, {"Form": 2})
    expected = {"share": 0.75, "odds": 1.5, "rating": 6, "alphabetical": 6}
    expected |= {"ratio": math.log(3), "weighed": logistic(0.5 + 2 * 0.25)}
    assert bread.references == pytest.approx(expected)
    expected = {"share": 0.25, "odds": -1.5, "rating": 2, "alphabetical": 6}
    expected |= {"ratio": -math.log(3), "weighed": logistic(0.5 - 2 * 0.25)}
    assert salt.references == pytest.approx(expected)


def test_nothing_is_turned_where_preferences_are_for_the_first_order(tmp_path):
    salt, _ = read_binomials(file_of(tmp_path, SALT, BREAD), probe(order="first"), FORM)
    assert (salt.alpha, salt.given, salt.turned) == ("salt and pepper",) * 2 + (False,)
    expected = {"share": 0.75, "odds": 1.5, "rating": 6, "alphabetical": 2}  # 4 - (6 - 4)
    expected |= {"ratio": math.log(3), "weighed": logistic(0.5 + 2 * 0.25)}
    assert salt.references == pytest.approx(expected)
    assert salt.constraints == {"Form": 2}


def test_a_pair_stands_once_in_whatever_order(tmp_path):
    path = file_of(tmp_path, SALT, SALT.replace("salt,pepper", "Pepper,Salt"))
    for order in ("alphabetical", "first"):
        with pytest.raises(ValueError, match="line 3: 'Pepper and Salt' stands already on line 2"):
            read_binomials(path, probe(order=order), FORM)
        with pytest.raises(ValueError, match="line 3: 'Pepper and Salt' stands already on line 2"):
            read_words(path, order=order)


@pytest.mark.skipif(not PUBLISHED.is_file(), reason=f"needs {PUBLISHED}")
def test_the_published_list_is_the_same_with_pairs_turned_by_hand(tmp_path):
    """All of its 725 pairs are in alphabetical order, so `order` makes no difference to it."""
    keys = {"type": "binomials", "items": "x", "constraints": CONSTRAINTS}
    keys["references"] = {
        "human": {"weights": str(WEIGHTS)},
        "genpref": {"column": "GenPref"},
        "relative_frequency": {"column": "RelFreq", "attested_only": True},
    }
    ours = BinomialsProbe(**keys)
    weights = read_all_weights(ours.references)
    plain = read_binomials(PUBLISHED, ours, weights)
    assert len(plain) == 725 and not any(item.turned for item in plain)
    assert read_binomials(PUBLISHED, BinomialsProbe(**keys, order="first"), weights) == plain

    with open(PUBLISHED, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows[::3]:
        row["Word1"], row["Word2"] = row["Word2"], row["Word1"]
        for name in CONSTRAINTS:
            row[name] = -float(row[name])
        for name in ("GenPref", "RelFreq"):
            row[name] = row[name] and 1 - float(row[name])
    with open(tmp_path / "turned.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    turned = read_binomials(tmp_path / "turned.csv", ours, weights)
    assert [item.turned for item in turned] == [number % 3 == 0 for number in range(725)]
    for item, same in zip(turned, plain, strict=True):
        assert (item.alpha, item.attested, item.frequency) == (
            *(same.alpha, same.attested, same.frequency),
        )
        assert item.constraints == pytest.approx(same.constraints)
        assert item.references == pytest.approx(same.references, abs=1e-12)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "give one of `column`, `log_ratio` and `weights`"),
        ({"column": "A", "log_ratio": ["A", "B"]}, "give one of"),
        ({"log_ratio": ["A"]}, "at least 2 items"),
        ({"log_ratio": ["A", "B"], "midpoint": 0.5}, "the midpoint of a log ratio is 0"),
        ({"weights": "w.csv", "of": "alphabetical"}, "`of` is for `column` and `log_ratio`"),
    ],
)
def test_a_reference_that_can_not_be_is_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        probe(references={"r": keys})


def test_a_log_ratio_needs_two_numbers_above_0(tmp_path):
    header = "Word1,Word2,A,B"
    keys = {"references": {"r": {"log_ratio": ["A", "B"]}}, "frequency_bins": 0}
    ours = BinomialsProbe(type="binomials", items="x", **keys)
    assert ours.references["r"].midpoint == 0
    again = BinomialsProbe.model_validate_json(ours.model_dump_json(exclude_defaults=True))
    assert again == ours
    path = file_of(tmp_path, "a,b,1e-300,1e300", "a,c,NA,3", "a,d,2,", header=header)
    values = [item.references["r"] for item in read_binomials(path, ours, {})]
    assert values == [pytest.approx(-600 * math.log(10)), None, None]
    path = file_of(tmp_path, "a,b,1,2", "a,c,3,0", "a,d,-1,1", header=header)
    with pytest.raises(ValueError, match=r"line 3: B is 0, which has no logarithm(.|\n)*line 4: A"):
        read_binomials(path, ours, {})


# ---------------------------------------------------------------------------- what is told


def told(tmp_path, *ratings, midpoint=0.5, header="Word1,Word2,R"):
    lines = [f"a{number},b,{rating}" for number, rating in enumerate(ratings)]
    references = {"r": {"column": "R", "midpoint": midpoint}}
    ours = BinomialsProbe(type="binomials", items="x", references=references, frequency_bins=0)
    return remarks(read_binomials(file_of(tmp_path, *lines, header=header), ours, {}), ours)


def test_a_reference_on_one_side_of_its_midpoint_is_told(tmp_path):
    (line,) = told(tmp_path, 0.6, 0.9, "NA")
    assert line.startswith("reference 'r': all 2 values, from 0.6 to 0.9, are on one side of its")
    (line,) = told(tmp_path, -1, -2, 0, midpoint=0)
    assert "all 3 values" in line
    assert told(tmp_path, 0.6, 0.4) == told(tmp_path, 0.6) == told(tmp_path, "") == []
    assert told(tmp_path, 1, 7, midpoint=4) == []


def test_percent_and_ratings_are_told_from_probabilities(tmp_path):
    (line,) = told(tmp_path, 90, 0.4, 10)
    assert line.startswith("reference 'r': 2 of 3 values are not from 0 to 1, the first is 90")
    assert "are they percent" in line
    assert told(tmp_path, 0, 1) == []


def test_turned_pairs_are_told(tmp_path):
    items = read_binomials(file_of(tmp_path, SALT, BREAD), probe(), FORM)
    line = remarks(items, probe())[0]
    assert line.startswith("1 of 2 pairs are not in alphabetical order, the first is 'salt and pep")
    items = read_binomials(file_of(tmp_path, SALT, BREAD), probe(order="first"), FORM)
    assert not any("alphabetical order" in line for line in remarks(items, probe()))


# ---------------------------------------------------------------------------- what follows


def test_people_choose_in_either_order(tmp_path):
    header = "Here,There,Attested,OverallFreq,Share"
    stimuli = file_of(tmp_path, "salt,pepper,1,9,0.75", header=header)
    answers = ["salt,pepper,first", "pepper,salt,first", "pepper,salt,second", "pepper,salt,alpha"]
    responses = file_of(tmp_path, *answers, header="Here,There,resp", name="responses.csv")
    keys = {"references": {"share": REFERENCES["share"]}, "responses": str(responses)}
    keys |= {"type": "binomials", "items": "x", "word1": "Here", "word2": "There"}
    for order, share in (("alphabetical", 0.5), ("first", 0.5)):
        spec = BinomialsProbe(**keys, order=order).model_dump_json(exclude_defaults=True)
        assert read_items(spec, str(stimuli)).references["choices"].values == [share]
    responses.write_text(responses.read_text() + "salt,pepper,first\n")
    for order, share in (("alphabetical", 2 / 5), ("first", 3 / 5)):
        spec = BinomialsProbe(**keys, order=order).model_dump_json(exclude_defaults=True)
        assert read_items(spec, str(stimuli)).references["choices"].values == [share]


def test_interventions_take_items_in_either_order(tmp_path):
    items = file_of(tmp_path, "salt,pepper", "bread,butter", header="w1,w2")
    keys = {"source": "insert", "corpus": "c", "items": str(items), "templates": "t", "counts": [1]}
    keys |= {"word1": "w1", "word2": "w2"}
    for name in ("salt and pepper", "Pepper and salt"):
        (item,) = chosen_items(items, InsertCorpus(**keys, only=[name]))
        assert item.alpha == "pepper and salt"
    with pytest.raises(ValueError, match=r"'salt and pepe' is none .*'salt and pepper'"):
        chosen_items(items, InsertCorpus(**keys, only=["salt and pepe"]))
    every = chosen_items(items, InsertCorpus(**keys))
    counts = file_of(tmp_path, "pepper,salt,3,1", header="w1,w2,alpha,nonalpha", name="counts.csv")
    assert read_counts(counts, every, "w1", "w2") == {"pepper and salt": (3, 1)}
    file_of(tmp_path, "salt,pepper,3,1", header="w1,w2,alpha,nonalpha", name="counts.csv")
    with pytest.raises(ValueError, match=r"line 2: 'salt and pepper' is not in alphabetical order"):
        read_counts(counts, every, "w1", "w2")
