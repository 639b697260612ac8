"""Grammatical minimal pairs of the toy language, in the style of BLiMP (Warstadt et al., 2020).

A pair is a good sentence and a bad one that differs in one word. Each paradigm lists the templates
of stories.txt that it rests on, as `section: template`. What they do not show is not tested: base
forms after "did", participles, and the number of reflexives, because each verb that has them has
subjects of one number ("washed themselves", "scratched itself") and so gives the form away.

Pairs come in twins, the same frame in the singular and in the plural, or of a man and of a woman.
What is the bad form in one twin is the good form in the other, so a preference for a form, however
strong, is right in one of the two: a unigram model scores exactly 50 %. The cost: the 100 pairs of
a paradigm are 50 frames, so a standard error has to treat twins as one observation.

Frames are sentences with slots in braces:

    {animals}      a word drawn from the lexicon, in its first form or (other twin) its second
    {~spots}       the other form: plural where the twin is singular
    {this/these}   two forms written out
    {!was/were}    the critical word: the bad sentence has the other form

All words are drawn uniformly, not by use, so most good sentences are new combinations of words.
The continuation of a few frames is simpler than in the corpus, where a coordination would stand:
no pair holds "x and y", whose order is what the language plants.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

import numpy as np

from ontogeny.corpus.toy import Language

SLOT = re.compile(r"\{([~!]?)([^}]+)\}")
MOST_TRIES = 100


@dataclass(frozen=True)
class Paradigm:
    """Frames that test one rule of the grammar; named as in BLiMP where it has the paradigm."""

    uid: str
    phenomenon: str
    frames: tuple[str, ...]


PARADIGMS = (
    # talk: "(This|That) {1 animals} is {trait}," said {A}.
    # talk: "(These|Those) {animals} are {trait}," said {B}.
    Paradigm(
        "subject_verb_agreement_adjacent",
        "subject_verb_agreement",
        (
            '"{This/These} {animals} {!is/are} {trait}," said {name}.',
            '"{That/Those} {animals} {!is/are} {trait}," said {name}.',
        ),
    ),
    # look: The {1 people} behind the {things} was {look}, but the {things} were {look}.
    # look: The {people} behind the {1 things} were {trait}, but the {1 things} was {look}.
    # look: The {1 things} under the {things} (was|seems|looks) {look}.
    # look: The {things} under the {1 things} (were|seem|look) {look}.
    # The template with "near" is left out: places in the plural stand before "was" alone, so the
    # last noun gives the verb away. Things stand before both, and more often before the wrong one.
    Paradigm(
        "distractor_agreement_prepositional_phrase",
        "subject_verb_agreement",
        (
            "The {people} behind the {~things} {!was/were} {look},"
            " but the {~things} {~was/were} {look}.",
            "The {things} under the {~things} {!was/were} {look}.",
        ),
    ),
    # look: The {1 animals} that the {people} found (was|has been) {trait} for days.
    # look: The {animals} that the {1 people} found (were|have been) {trait} for days.
    Paradigm(
        "distractor_agreement_relative_clause",
        "subject_verb_agreement",
        (
            "The {animals} that the {~people} found {!was/were} {trait} for days.",
            "The {animals} that the {~people} found {!has/have} been {trait} for days.",
        ),
    ),
    # look: (Each|Every) {1 people} {where} {does} on Sundays.
    # look: (All|Most|Some) {people} {where} {do} on Sundays.
    Paradigm(
        "quantified_subject_verb_agreement",
        "subject_verb_agreement",
        (
            "{Each/All} {people} {where} {!does} on Sundays.",
            "{Each/Most} {people} {where} {!does} on Sundays.",
            "{Every/All} {people} {where} {!does} on Sundays.",
            "{Every/Some} {people} {where} {!does} on Sundays.",
        ),
    ),
    # look: {A} saw (one|this|that|every) {1 things} beside (two|three|many|these|those) {nature}.
    # look: {B} looked at (two|three|many|some|these) {animals} beside (one|this|that) {1 nature}.
    # talk: "Your {gift} is under (this|that) {1 things}," said {B}.
    # talk: "Your {things} are under (these|those) {things}," said the {helper}.
    Paradigm(
        "determiner_noun_agreement_1",
        "determiner_noun_agreement",
        (
            "{name} {looked at two/saw every} {seen} beside {this/these} {!nature}.",
            '"Your {things} {is/are} under {this/these} {!things}," said {name}.',
            "{name} {looked at these/saw that} {seen} beside {one/many} {!nature}.",
            '"Your {things} {is/are} under {that/those} {!things}," said {name}.',
        ),
    ),
    # The same templates; here the determiner is wrong, there the noun.
    Paradigm(
        "determiner_noun_agreement_2",
        "determiner_noun_agreement",
        (
            "{name} {looked at many/saw one} {seen} beside {!that/those} {nature}.",
            '"Your {things} {is/are} under {!this/these} {things}," said {name}.',
            "{name} {looked at some/saw this} {seen} beside {!one/three} {nature}.",
            '"Your {things} {is/are} under {!that/those} {things}," said {name}.',
        ),
    ),
    # look: There (was {a look} {1 things}|were some {look} {things}) {where}.
    Paradigm(
        "determiner_noun_agreement_with_adjective",
        "determiner_noun_agreement",
        ("There {was/were} {a look} {!things} {where}.",),
    ),
    # self: {B} made {B.himself} a bowl of {foods}.
    # self: {A} was proud of {A.himself}, because {A.he} had found the {gift}.
    # self: {B} hurt {B.himself} when {B.he} {did}.
    # self: {A} told {B} about {A.himself}, since {B.he} had asked.
    # self: The {helper} asked {helper.himself} where the {gift} was.
    # self: The {helper} taught {helper.himself} to paint {world+}.
    # Names also stand in the frames of helpers, and helpers in those of names.
    Paradigm(
        "anaphor_gender_agreement",
        "anaphor_agreement",
        (
            "{man} was proud of {!himself/herself},"
            " because {he/she} had found the {plural things}.",
            "The {helper} was proud of {!himself/herself}, because {he/she} had found the {gift}.",
            "{man} taught {!himself/herself} to paint {plural nouns}.",
            "The {helper} made {!himself/herself} a bowl of {foods}.",
            "The {helper} told {man} about {!himself/herself}, since {he/she} had asked.",
            "The {helper} hurt {!himself/herself} when {he/she} {did}.",
            "{man} asked {!himself/herself} where the {gift} was.",
            "The {helper} taught {!himself/herself} to paint {plural nouns}.",
        ),
    ),
    # opening: {A} was looking for {A.his} {gift}, which {A.he} had left {where}.
    # picnic: {A} opened the basket, where {A.he} found {foods+}.
    # bedtime: {B} could not sleep, so {B.he} thought of {world+}.
    # castle: The {helper} was {traits+}, so everyone loved {helper.him}.
    # In the stories a pronoun after a single person means that person. (Elsewhere it need not.)
    Paradigm(
        "pronoun_gender_agreement_across_clause",
        "anaphor_agreement",
        (
            "{man} was looking for {his/her} {gift}, which {!he/she} had left {where}.",
            "The {helper} was {trait}, so everyone loved {!him/her}.",
            "{man} could not sleep, so {!he/she} thought of {plural nouns}.",
            "The {helper} opened the basket, where {!he/she} found {foods}.",
        ),
    ),
)


def _both(first, second) -> list[tuple[str, str]]:
    """Pairs of forms; nouns whose forms are the same (sheep) are left out."""
    return [pair for pair in zip(first, second, strict=True) if pair[0] != pair[1]]


def _same(words) -> list[tuple[str, str]]:
    return [(word, word) for word in words]


def _lexicon(language: Language) -> dict[str, list[tuple[str, str]]]:
    """For each slot, its words in two forms: singular and plural, or of a man and of a woman."""
    draws, cast = language.draws, language.cast
    forms = {slot: draw.strings.tolist() for slot, draw in draws.items()}
    numbers = {
        slot: _both(forms[f"1 {slot}"], forms[slot])
        for slot in ("people", "animals", "things", "nature")
    }
    plurals = [pair[1] for noun in numbers.values() for pair in noun]

    def genders(people: tuple[tuple[str, ...], ...]) -> list[list[str]]:
        return [[word for word, *rest in people if rest[0] == he] for he in ("he", "she")]

    men, women = genders(cast["helpers"])
    lexicon = numbers | {
        "spots": _both(forms["spot"], forms["spots"]),
        "does": _both(forms["does"], forms["do"]),
        "a look": [
            (a, f"some {look}") for a, look in zip(forms["a look"], forms["look"], strict=True)
        ],
        "gift": _same(forms["1 things"]),
        "plural things": _same(pair[1] for pair in numbers["things"]),
        "seen": [(a, b) for _, a in numbers["animals"] for b, _ in numbers["things"]],
        "plural nouns": _same(plurals),
        "where": _same(where for _, where in cast["places"]),
        "name": _same(name for name, *_ in cast["names"]),
        "man": [(a, b) for a in genders(cast["names"])[0] for b in genders(cast["names"])[1]],
        "helper": [(a, b) for a in men for b in women],
    }
    return lexicon | {slot: _same(forms[slot]) for slot in ("foods", "trait", "look", "did")}


def _twins(frame: str, lexicon: dict, rng: np.random.Generator) -> list[tuple[str, str]] | None:
    """Good and bad sentence of both twins, or None where a drawn word would stand twice."""
    parts = SLOT.split(frame)
    text, marks, slots = parts[::3], parts[1::3], parts[2::3]
    drawn: list[tuple[str, str]] = []
    for slot in slots:
        if slot in lexicon:
            drawn.append(lexicon[slot][int(rng.integers(len(lexicon[slot])))])
            if any(set(drawn[-1]) & set(words) for words in drawn[:-1]):
                return None
        else:
            drawn.append(tuple(slot.split("/")))

    def sentence(form: int, critical: int) -> str:
        use = {"": form, "~": 1 - form, "!": critical}
        words = [pair[use[mark]] for mark, pair in zip(marks, drawn, strict=True)]
        return "".join(a + b for a, b in zip(text, [*words, ""], strict=True))

    return [(sentence(form, form), sentence(form, 1 - form)) for form in (0, 1)]


def minimal_pairs(language: Language, pairs: int = 100) -> list[dict]:
    """`pairs` rows of each paradigm: uid, phenomenon, pair_id (from 0), good and bad sentence.

    The pairs with ids 2i and 2i + 1 are twins (see the module). The same language gives the same
    rows, and a paradigm has a stream of draws of its own. Raises ValueError if `pairs` is not a
    positive even number, or if the frames of a paradigm do not have so many sentences.
    """
    if pairs < 2 or pairs % 2:
        raise ValueError(f"pairs come in twins: {pairs} should be a positive even number")
    lexicon = _lexicon(language)
    rows = []
    for paradigm in PARADIGMS:
        rng = np.random.default_rng([language.seed, zlib.crc32(paradigm.uid.encode())])
        seen: set[str] = set()
        for number in range(pairs // 2):
            frame = paradigm.frames[number % len(paradigm.frames)]
            for _ in range(MOST_TRIES):
                twins = _twins(frame, lexicon, rng)
                if twins and not seen & {good for good, _ in twins}:
                    break
            else:
                raise ValueError(f"{paradigm.uid}: no {pairs} different sentences like {frame!r}")
            for twin, (good, bad) in enumerate(twins):
                seen.add(good)
                rows.append(
                    {
                        "uid": paradigm.uid,
                        "phenomenon": paradigm.phenomenon,
                        "pair_id": 2 * number + twin,
                        "good": good,
                        "bad": bad,
                    }
                )
    return rows
