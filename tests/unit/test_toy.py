"""The toy language: what it says about itself is what its text does."""

import collections
import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from ontogeny.corpus import toy, toy_pairs
from ontogeny.corpus.toy_columns import item_columns

FOLDER = Path(__file__).parents[2] / "data" / "toy"
WORDS = 1_000_000


@pytest.fixture(scope="module")
def language():
    return toy.load_language(FOLDER, seed=1)


@pytest.fixture(scope="module")
def stories(language):
    return list(toy.documents(language, seed=5, words=WORDS))


@pytest.fixture(scope="module")
def coordinations(stories):
    """Counts of (x, y) over windows "x and y" of a story, lowercased and stripped to letters."""
    counts = collections.Counter()
    for story in stories:
        words = re.sub(r"[^a-z ]", "", story.lower()).split()
        for at, word in enumerate(words[1:-1], start=1):
            if word == "and":
                counts[words[at - 1], words[at + 1]] += 1
    return counts


def planted():
    return yaml.safe_load((FOLDER / "planted.yaml").read_text())


def test_same_seed_same_text_and_fewer_words_are_a_prefix(language):
    long = list(toy.documents(language, seed=3, words=20_000))
    short = list(toy.documents(toy.load_language(FOLDER, seed=1), seed=3, words=5_000))
    assert short == long[: len(short)]
    assert long != list(toy.documents(language, seed=4, words=20_000))


def test_language_seed_draws_other_items(language):
    other = toy.load_language(FOLDER, seed=2)
    same = {row["Alpha"] for row in toy.items(language)} & {
        row["Alpha"] for row in toy.items(other)
    }
    assert len(same) < 20


def test_the_columns_of_items_are_known_without_them(language):
    assert list(toy.items(language)[0]) == item_columns(FOLDER)


def test_number_of_words_is_as_asked_and_stories_are_clean(language, stories):
    lengths = [len(story.split(" ")) for story in stories]
    assert WORDS <= sum(lengths) < WORDS + max(lengths)
    assert not any(re.search(r"\s\s|\n|[(){}|%_]|^\s|\s$", story) for story in stories)
    standard_error = np.std(lengths) / math.sqrt(len(lengths))
    assert abs(np.mean(lengths) - language.words_per_story) < 4 * standard_error


def test_every_sentence_starts_with_a_capital_and_ends(stories):
    for story in stories[:500]:
        assert story[0].isupper() or story[0] == '"'
        assert story.endswith((".", '."', "?", '?"'))


def test_item_rows(language):
    rows = toy.items(language)
    assert sum(row["Attested"] for row in rows) == 120
    assert len(rows) == 180 == len({row["Alpha"] for row in rows})
    constraints = planted()["constraints"]
    for row in rows:
        assert row["Word1"] < row["Word2"] and row["Alpha"].islower()
        assert row["Alpha"] == f"{row['Word1']} and {row['Word2']}"
        assert row["Nonalpha"] == f"{row['Word2']} and {row['Word1']}"
        general = sum(c["weight"] * row[name] for name, c in constraints.items())
        assert row["GenPref"] == pytest.approx(1 / (1 + math.exp(-general)))
        if row["Attested"]:
            assert row["RelFreq"] == pytest.approx(1 / (1 + math.exp(-row["TruePreference"])))
            assert row["OverallFreq"] > 0
        else:
            assert row["RelFreq"] is None and row["OverallFreq"] == 0
            assert row["TruePreference"] == pytest.approx(general)


def test_rates_go_from_highest_to_lowest_and_noise_has_its_sd(language):
    rates = sorted((item.rate for item in language.items if item.attested), reverse=True)
    asked = planted()["attested_rate"]
    assert rates[0] == pytest.approx(asked["highest"]) and rates[-1] == pytest.approx(
        asked["lowest"]
    )
    noise = [item.noise for item in language.items if item.attested]
    sd = planted()["item_noise_sd"]
    # The standard error of an SD of n normals is sd / sqrt(2 (n - 1)).
    assert abs(np.std(noise, ddof=1) - sd) < 4 * sd / math.sqrt(2 * (len(noise) - 1))


def test_counts_and_orders_are_as_expected(language, coordinations):
    """Counts vary as Poisson, orders as binomial: items within 4.5 SD, chi^2 within 4 SD."""
    counts, orders = [], []
    for item in (item for item in language.items if item.attested):
        alpha = coordinations[item.word1, item.word2]
        total = alpha + coordinations[item.word2, item.word1]
        expected = item.rate * WORDS / 1e6
        if expected >= 10:
            counts.append((total - expected) / math.sqrt(expected))
            share = 1 / (1 + math.exp(-item.log_odds))
            if total * min(share, 1 - share) >= 5:
                orders.append((alpha - total * share) / math.sqrt(total * share * (1 - share)))
    for z in (np.array(counts), np.array(orders)):
        assert len(z) > 20
        assert abs(z).max() < 4.5
        assert abs((z**2).sum() - len(z)) < 4 * math.sqrt(2 * len(z))


def test_rare_items_together_have_their_expected_count(language, coordinations):
    rare = [item for item in language.items if item.attested and item.rate * WORDS / 1e6 < 10]
    expected = sum(item.rate for item in rare) * WORDS / 1e6
    seen = sum(
        coordinations[pair] for i in rare for pair in itertools.permutations((i.word1, i.word2))
    )
    assert abs(seen - expected) < 4 * math.sqrt(expected)


def test_nonce_pairs_are_never_joined_but_their_words_are_common(language, coordinations, stories):
    words = collections.Counter(re.sub(r"[^a-z ]", "", " ".join(stories).lower()).split())
    joined = collections.Counter()
    for (first, second), n in coordinations.items():
        joined[first] += n
        joined[second] += n
    for item in language.items:
        if not item.attested:
            assert (
                coordinations[item.word1, item.word2] == coordinations[item.word2, item.word1] == 0
            )
            for word in (item.word1, item.word2):
                assert words[word] >= 50 and joined[word] >= 25, word


def test_novel_pairs_follow_the_constraints_alone(language, coordinations):
    """Over all pairs that are no item: the share of the order that the constraints favour."""
    settings = planted()
    lexicon = toy_pairs.read_lexicon(FOLDER, settings, np.random.default_rng(language.seed))
    listed = {frozenset((item.word1, item.word2)) for item in language.items}
    favoured = expected = variance = 0.0
    for (a, b), n in coordinations.items():
        if a in lexicon and b in lexicon and frozenset((a, b)) not in listed:
            values = toy_pairs.constraint_values(lexicon[a], lexicon[b], settings["constraints"])
            p = toy_pairs.logistic(
                sum(c["weight"] * values[k] for k, c in settings["constraints"].items())
            )
            favoured += n * (p > 0.5)
            # Whichever order was seen, the favoured one had probability max(p, 1 - p).
            expected += n * max(p, 1 - p)
            variance += n * p * (1 - p)
    assert favoured > 5_000
    assert abs(favoured - expected) < 4 * math.sqrt(variance)


def test_reflexives_agree_with_their_antecedent(language, stories):
    gender = {name: forms[-1] for name, *forms in language.cast["names"] + language.cast["helpers"]}
    seen = collections.Counter()
    for story in stories[:2000]:
        for name, form in re.findall(
            r"(\w+) (?:saw|made|hurt|promised|taught) (himself|herself)", story
        ):
            assert gender[name] == form
            seen[form] += 1
    assert min(seen["himself"], seen["herself"]) > 100


def test_subjects_and_verbs_agree_across_a_phrase(language, stories):
    number = {}
    for slot, n in (
        ("1 animals", "was"),
        ("animals", "were"),
        ("1 things", "was"),
        ("things", "were"),
    ):
        for noun in language.draws[slot].strings:
            number[noun] = None if number.get(noun, n) != n else n
    seen = collections.Counter()
    for story in stories[:3000]:
        for noun, verb in re.findall(r"The (\w+) (?:near|under) the \w+ (was|were) ", story):
            assert number.get(noun) in (None, verb)
            seen[verb] += 1
    assert min(seen.values()) > 100


def test_too_many_attested_pairs_for_the_templates_is_an_error(tmp_path):
    for file in FOLDER.iterdir():
        (tmp_path / file.name).write_text(file.read_text())
    text = (tmp_path / "planted.yaml").read_text()
    (tmp_path / "planted.yaml").write_text(re.sub(r"highest: \d+", "highest: 90000", text))
    with pytest.raises(ValueError, match="lower attested_rate or add"):
        toy.load_language(tmp_path, seed=1)


def test_a_slot_that_does_not_exist_is_named_with_its_line(tmp_path):
    for file in FOLDER.iterdir():
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "stories.txt").write_text("== opening ==\n\nThe {unicorn} sang.\n")
    with pytest.raises(ValueError, match=r"stories.txt:3: no slot \{unicorn\}"):
        toy.load_language(tmp_path, seed=1)
