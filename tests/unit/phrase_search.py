"""What the tests of occurrences and exposures share: awkward items and texts, tokenizers of several
kinds, and a slow search for phrases that knows nothing of the library's."""

import random
import re
import string
import unicodedata
from functools import cache

import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from ontogeny.corpus.tokenizer import make_characters, save_tokenizer, train_bpe
from ontogeny.corpus.tokens import write_tokens
from ontogeny.scoring.stimuli.binomials import Binomial
from ontogeny.study.models import BpeTokenizer, CharacterTokenizer

PAIRS = [
    ("bread", "butter"),
    ("20s", "30s"),
    ("a.b.", "m.a."),
    ("c.", "d."),
    ("Africa", "Asia"),
    ("mr.", "mrs."),
    ("a", "b"),
    ("b", "c"),
    ("café", "thé"),
    ("ice  cream", "jelly beans"),
    ("butter", "milk"),
    ("butter-milk", "o'neill"),
    ("istanbul", "ankara"),
    ("straße", "weg"),
    ("σοφός", "φίλος"),
    ("bread and butter", "jam"),
    ("&", "c++"),
    ("日本", "中国"),
]
ITEMS = [Binomial(first, second, True, None) for first, second in PAIRS]
WORDS = [word for pair in PAIRS for word in pair]
# Letters that lowercase makes longer or shorter, accents that combine, things that look alike.
ODD = [
    "İstanbul",
    "İ",
    "\u212aelvin",
    "cafe\u0301",
    "\u2126",
    "Ⱥ",
    "ẞ",
    "ΣΟΦΌΣ",
    "x_",
    "_",
    "²",
    "€",
]
BETWEEN = [
    *[" "] * 30,
    *["\n", "\t", "  ", " \n ", "\r\n", "\u00a0", "\u2003", "\u3000", "\u200b", "\v", "\u2028"],
    *["\n\n", "\n \n", "\r\r", "\u2029\n"],
    *[
        ", ",
        ". ",
        "; ",
        '" ',
        " (",
        ") ",
        "-",
        "--",
        "'",
        "’",
        "'s ",
        "’s ",
        "/",
        "",
        "_",
        "\u2011",
    ],
]
LETTER = r"[\w\u0300-\u036f]"
LINE_BREAK = "(?:\r\n|[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029])"
SPACE = "[^\\S\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]"
GAP = f"(?:{SPACE}+{LINE_BREAK}?{SPACE}*|{LINE_BREAK}{SPACE}*)"
ALONE = rf"(?<!{LETTER})(?<!{LETTER}[-‐‑'’]){{}}(?!{LETTER})(?![-‐‑'’]{LETTER})"


def slow_search(phrase, text):
    """Characters (start, end) of each occurrence of a phrase, overlapping ones too."""
    words = [ALONE.format(re.escape(word.lower())) for word in phrase.split()]
    expression = re.compile(GAP.join(words))
    lowered = text.lower()
    origin = [i for i, character in enumerate(text) for _ in character.lower()]
    assert len(origin) == len(lowered)
    found = []
    at = 0
    while match := expression.search(lowered, at):
        found.append((origin[match.start()], origin[match.end() - 1] + 1))
        at = match.start() + 1
    return found


def spans_of(tokenizer, text):
    """Characters (start, end) of each token; none of a space that is put before the text, to which
    the library gives the place of the first character."""
    encoding = tokenizer.encode(text)
    return [
        (0, 0) if span[0] == 0 and token in ("Ġ", "▁") and not text[0].isspace() else span
        for token, span in zip(encoding.tokens, encoding.offsets, strict=True)
    ]


def random_text(rng, length=60):
    """Words of the items, in any case, with all kinds of things between them."""
    parts = []
    for _ in range(rng.randrange(length)):
        word = rng.choice([*WORDS, *["and"] * len(WORDS), *ODD])
        parts.append(rng.choice([word, word, word.upper(), word.title()]))
        parts.append(rng.choice(BETWEEN))
    return unicodedata.normalize(rng.choice(["NFC", "NFC", "NFC", "NFD"]), "".join(parts))


def random_texts(seed, count, length=60):
    rng = random.Random(seed)
    return [random_text(rng, length) for _ in range(count)]


# ---------------------------------------------------------------------------- tokenizers

TRAINING_TEXTS = tuple(random_texts("tokenizers", 150))


@cache
def bpe(**options):
    spec = BpeTokenizer(type="bpe", corpus="x", vocab_size=500, **options)
    return train_bpe(spec, TRAINING_TEXTS)


@cache
def characters(texts=(*TRAINING_TEXTS, string.printable + "’Éé"), **options):
    return make_characters(CharacterTokenizer(type="characters", corpus="x", **options), texts)


def copied(tokenizer):
    return Tokenizer.from_str(tokenizer.to_str())


def with_bos(tokenizer):
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s>:0 $A:0", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return tokenizer


def gpt_neox():
    """Unicode normalisation, added tokens of plain spaces, a pre-tokenizer in two steps."""
    tokenizer = copied(bpe(lowercase=False, prefix_space=False, bos=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\w+| ?[^\w\s]+|\s+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.add_tokens(["  ", "    "])
    return tokenizer


def word_pieces():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=150, special_tokens=["[UNK]", "<s>"], show_progress=False
    )
    tokenizer.train_from_iterator(TRAINING_TEXTS[:20], trainer)
    return with_bos(tokenizer)


def sentence_pieces():
    """As Llama 2's: the prefix put there by the normalizer, bytes where a character is unknown."""
    tokens = ["<unk>", "<s>", *(f"<0x{byte:02X}>" for byte in range(256)), *"▁abcdefmnorst.&+-20"]
    merges = [("▁", "a"), ("n", "d"), ("▁a", "nd"), ("b", "r"), ("▁", "br"), ("▁br", "e")]
    tokens += ["".join(merge) for merge in merges]
    tokenizer = Tokenizer(
        models.BPE(
            {token: i for i, token in enumerate(tokens)},
            merges,
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>"])
    return with_bos(tokenizer)


def metaspace():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=["<unk>", "<s>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(TRAINING_TEXTS, trainer)
    tokenizer.decoder = decoders.Metaspace()
    return with_bos(tokenizer)


def dropping():
    """Characters that it does not know leave no token: most of "butter" and all of "c++"."""
    vocabulary = {"<s>": 0} | {character: i for i, character in enumerate(" abdeinrt", 1)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    return with_bos(tokenizer)


def unknown_runs():
    """Each stretch of characters that it does not know is one token; no token is an "x"."""
    vocabulary = {"<unk>": 0, "<s>": 1} | {c: i for i, c in enumerate(" abdenrtuc", 2)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", fuse_unk=True))
    tokenizer.add_special_tokens(["<unk>", "<s>"])
    return with_bos(tokenizer)


def replacing():
    """Drops each "q" and doubles each "x"."""
    tokenizer = copied(characters())
    rules = [normalizers.Replace("q", ""), normalizers.Replace("x", "xx")]
    tokenizer.normalizer = normalizers.Sequence(rules)
    return tokenizer


TOKENIZERS = {
    "bpe": bpe,
    "bpe, case kept": lambda: bpe(lowercase=False),
    "bpe, no prefix space": lambda: bpe(prefix_space=False),
    "bpe, nothing added": lambda: bpe(lowercase=False, prefix_space=False, bos=False),
    "characters": characters,
    "characters, lowercase": lambda: characters(lowercase=True),
    "characters, some unknown": lambda: characters(TRAINING_TEXTS[:2], bos=False),
    "gpt-neox": gpt_neox,
    "word pieces": word_pieces,
    "sentence pieces": sentence_pieces,
    "metaspace": metaspace,
    "dropping": dropping,
    "unknown runs": unknown_runs,
    "replacing": replacing,
}


def make_corpus(folder, texts, tokenizer):
    """`train.parquet`, `tokenizer.json` and the tokens of some documents in a folder."""
    table = pa.table({"text": pa.array(texts, pa.large_string())})
    pq.write_table(table, folder / "train.parquet")
    save_tokenizer(tokenizer, folder / "tokenizer.json", folder / "tokenizer_config.json")
    documents = {"train": folder / "train.parquet"}
    return write_tokens(folder / "tokenizer.json", documents, folder / "tokens")
