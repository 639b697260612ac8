"""Where a text's sentences end: a rule for text with punctuation, in a few lines.

Sentences stand between white space. White space ends a sentence where

- it has two line breaks or more (a blank line), or
- what stands before it ends in `.`, `!` or `?` (or one of those of other scripts), with quotes or
  brackets that close after it, and what follows does not begin with a lowercase letter. A single
  capital letter with a full stop ("J. Smith") and a title ("Mr. Smith") end no sentence.

So `"Stop!" he said.` is one sentence, and a single line break ends none: text may be wrapped. Text
without punctuation is one sentence up to a blank line or the end of its document.
"""

import re
from collections.abc import Collection
from itertools import pairwise

WHITE_SPACE = re.compile(r"\s+")
ENDS = re.compile(r"""[.!?…。！？।؟]["'”’»)\]}]*$""")
OPENING = "\"'“‘«([{"
TITLE = re.compile(r"mrs?|ms|dr|prof|st|rev|gen|col|capt|lt|sgt|[js]r", re.IGNORECASE)


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence, in characters, without the white space around it."""
    spans = []
    start = word = len(text) - len(text.lstrip())
    for gap in WHITE_SPACE.finditer(text, start):
        if gap.end() == len(text):
            break
        if _ends(text[word : gap.start()], gap[0], text[gap.end()]):
            spans.append((start, gap.start()))
            start = gap.end()
        word = gap.end()
    end = len(text.rstrip())
    return [*spans, (start, end)] if end > start else spans


def without(text: str, spans: list[tuple[int, int]], gone: Collection[int]) -> str:
    """The text without some of its sentences (`gone`, numbers of `spans`); empty if without all.

    Of the white space on both sides of what goes, that with more line breaks stays.
    """
    kept = [number for number in range(len(spans)) if number not in gone]
    if not kept:
        return ""
    pieces = [text[: spans[0][0]], text[slice(*spans[kept[0]])]]
    for before, after in pairwise(kept):
        gaps = [text[spans[i][1] : spans[i + 1][0]] for i in range(before, after)]
        pieces += [max(gaps, key=line_breaks), text[slice(*spans[after])]]
    return "".join([*pieces, text[spans[-1][1] :]])


def line_breaks(gap: str) -> int:
    """How many line breaks white space holds."""
    return len(f"|{gap}|".splitlines()) - 1


def _ends(word: str, gap: str, following: str) -> bool:
    """Whether a sentence ends in `gap`, which has `word` before it and a character after."""
    if line_breaks(gap) > 1:
        return True
    if following.islower() or not ENDS.search(word):
        return False
    name = word.lstrip(OPENING).removesuffix(".")
    return not (TITLE.fullmatch(name) or (len(name) == 1 and name.isupper()))
