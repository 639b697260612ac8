"""Tokenizers: train one, make one of characters, or take one that exists; save and load it.

What a tokenizer does to text is all in `tokenizer.json`: case, prefix space, BOS. The file
beside it, `tokenizer_config.json`, only makes `AutoTokenizer` load that file as it is: its
`tokenizer_class` is the plain wrapper, since the class that `transformers` registers for a model
(GPT2Tokenizer for OPT) builds a pipeline of its own and silently loses lowercasing, the prefix
space or BOS. Text is text: a document that contains the characters `<s>` is encoded as these
characters, not as the control token (`split_special_tokens`), by `load_tokenizer` and
`AutoTokenizer` alike; a bare `tokenizers.Tokenizer.from_file` differs in this one point.

Byte-level BPE is trained by the `tokenizers` library, with all 256 bytes in the alphabet, so every
text is representable and `<unk>` never occurs. Memory grows with the number of different words.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from ontogeny.files import read_json, replacing
from ontogeny.origins import reading
from ontogeny.progress import Progress, say
from ontogeny.published.token import hub_token
from ontogeny.study.models import (
    TOKENIZER_FILES,
    BpeTokenizer,
    CharacterTokenizer,
    PretrainedTokenizer,
)

SPECIALS = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
CONFIG_NAME = "tokenizer_config.json"
TRAINING_BATCH = 1000
NO_LIMIT = int(1e30)  # what transformers itself writes for "no maximal length"


@dataclass(frozen=True)
class TokenizerInfo:
    """What a model or a scorer must know of a tokenizer. Ids are None where it has no such token.

    `vocab_size`: the largest id + 1. `bos_id`: the token that precedes every encoded text; None
    when the tokenizer puts none, even if its vocabulary has one.
    """

    vocab_size: int
    bos_id: int | None
    eos_id: int | None
    pad_id: int | None
    unk_id: int | None


# ---------------------------------------------------------------------------- making one


def train_bpe(spec: BpeTokenizer, documents: Iterable[str]) -> Tokenizer:
    """Byte-level BPE trained on documents; the same documents give the same tokenizer.

    `spec.vocab_size` counts the four special tokens and the 256 bytes; there are fewer entries
    than that where the documents hold too few frequent pairs. Pre-tokenisation is GPT-2's.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=SPECIALS["unk_token"]))
    if spec.lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=spec.prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=spec.vocab_size,
        min_frequency=spec.min_frequency,
        special_tokens=list(SPECIALS.values()),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_batches(documents), trainer)
    size = tokenizer.get_vocab_size()
    if size < spec.vocab_size:
        say(f"the corpus gives {size:,} entries, fewer than vocab_size {spec.vocab_size:,}")
    return _finish(tokenizer, SPECIALS["bos_token"] if spec.bos else None)


def make_characters(spec: CharacterTokenizer, documents: Iterable[str]) -> Tokenizer:
    """One token per character (code point) of the documents, in code point order.

    A character that they lack is `<unk>`, each one a token of its own. Encoded as a BPE model
    without merges, which is the library's fastest model of single characters.
    """
    characters: set[str] = set()
    for document in documents:
        characters.update(document)
    if spec.lowercase:  # per character, as the normalizer does it: U+0130 gives two
        lower = normalizers.Lowercase()
        characters = set().union(*(lower.normalize_str(character) for character in characters))
    entries = [*SPECIALS.values(), *sorted(characters)]
    vocabulary = {entry: i for i, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token=SPECIALS["unk_token"]))
    tokenizer.add_special_tokens(list(SPECIALS.values()))
    if spec.lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.decoder = decoders.Fuse()
    return _finish(tokenizer, SPECIALS["bos_token"] if spec.bos else None)


def take_pretrained(
    spec: PretrainedTokenizer, own_bos: bool = False
) -> tuple[Tokenizer, dict[str, str]]:
    """The tokenizer of a folder or a Hub repository, and its special tokens by role.

    Its `tokenizer.json` is read as it is. Only what it puts around a text is replaced: its BOS
    and nothing else when `spec.bos`, nothing otherwise; with `own_bos` its BOS if it has one,
    unless it has a template for what it puts around a text, and that puts nothing. A repository
    without that file is converted by `AutoTokenizer`; code from the repository is never run.
    Raises `ValueError` when it can't be had, or has no BOS that `spec.bos` asks for.
    """
    found = _fetch(spec)
    if "tokenizer.json" in found:
        tokenizer = _read_tokenizer(found["tokenizer.json"])
        specials = _named_specials(found)
    else:
        tokenizer, specials = _convert(spec)
    known = tokenizer.get_vocab(with_added_tokens=True)
    specials = {role: name for role, name in specials.items() if name in known}
    around = tokenizer.encode([], is_pretokenized=True).tokens
    if "bos_token" not in specials and len(around) == 1:
        specials["bos_token"] = around[0]
    bos = spec.bos
    if own_bos:
        processor = json.loads(tokenizer.to_str())["post_processor"] or {}
        template = processor.get("type") == "TemplateProcessing"
        bos = "bos_token" in specials and (bool(around) or not template)
    if bos and "bos_token" not in specials:
        raise ValueError(
            f"tokenizer {spec.path!r} has no beginning-of-sequence token; set `bos: false`, and "
            "the first token of a scored string will not be scored"
        )
    return _finish(tokenizer, specials["bos_token"] if bos else None), specials


def _finish(tokenizer: Tokenizer, bos: str | None) -> Tokenizer:
    """Put `bos`, or nothing, before a text; no padding, no truncation."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    start = f"{bos}:0 " if bos else ""
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start}$A:0",
        pair=f"{start}$A:0 $B:1",
        special_tokens=[(bos, tokenizer.token_to_id(bos))] if bos else [],
    )
    return tokenizer


def _batches(documents: Iterable[str]) -> Iterator[list[str]]:
    documents = iter(documents)
    while batch := list(islice(documents, TRAINING_BATCH)):
        yield batch


def read_documents(path: str | Path, what: str) -> Iterator[str]:
    """Documents of a corpus's parquet file, in order, with progress."""
    with (
        pq.ParquetFile(reading(path)) as parquet,
        Progress(what, parquet.metadata.num_rows, "documents") as progress,
    ):
        for group in range(parquet.num_row_groups):  # else a batch spans several, of any size
            for batch in parquet.iter_batches(TRAINING_BATCH, row_groups=[group], columns=["text"]):
                yield from batch.column(0).to_pylist()
                progress.advance(len(batch))


# ---------------------------------------------------------------------------- pretrained


def _fetch(spec: PretrainedTokenizer) -> dict[str, Path]:
    """Those files of a tokenizer that there are, by name."""
    folder = Path(spec.path)
    if folder.is_dir():
        found = {name: folder / name for name in TOKENIZER_FILES if (folder / name).is_file()}
        if "tokenizer.json" not in found:
            raise ValueError(f"{folder}: there is no tokenizer.json in this folder")
        return found
    if spec.path.count("/") > 1 or spec.path.startswith((".", "/", "~")):
        raise FileNotFoundError(f"tokenizer {spec.path!r}: there is no such folder")

    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    found, token = {}, hub_token()
    for name in TOKENIZER_FILES:
        try:
            found[name] = Path(
                hf_hub_download(spec.path, name, revision=spec.revision, token=token)
            )
        except LocalEntryNotFoundError as error:  # a kind of EntryNotFoundError: no network
            raise ValueError(_not_fetched(spec, error)) from error
        except EntryNotFoundError:
            continue
        except Exception as error:  # of many kinds: the client's, the network's
            raise ValueError(_not_fetched(spec, error)) from error
    return found


def _not_fetched(spec: PretrainedTokenizer, error: Exception) -> str:
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return (
        f"tokenizer {spec.path!r} is no folder here and could not be fetched from the Hub "
        f"({reason}); check the name and the network, or give a folder with its tokenizer.json"
    )


def _named_specials(found: dict[str, Path]) -> dict[str, str]:
    """Special tokens by role (`bos_token` ...), from the files beside a tokenizer.json."""
    named: dict[str, str] = {}
    for name in ("special_tokens_map.json", CONFIG_NAME):
        values = _read_object(found[name]) if name in found else {}
        for role in SPECIALS:
            value = values.get(role)
            value = value.get("content") if isinstance(value, dict) else value
            if isinstance(value, str):
                named[role] = value
    return named


def _convert(spec: PretrainedTokenizer) -> tuple[Tokenizer, dict[str, str]]:
    from transformers import AutoTokenizer

    token = hub_token()
    try:
        loaded = AutoTokenizer.from_pretrained(
            spec.path, revision=spec.revision, token=token, trust_remote_code=False
        )
    except Exception as error:
        raise ValueError(_not_fetched(spec, error)) from error
    say(f"tokenizer {spec.path!r} has no tokenizer.json; converted from its older files")
    specials = {role: getattr(loaded, role) for role in SPECIALS if getattr(loaded, role)}
    return Tokenizer.from_str(loaded.backend_tokenizer.to_str()), specials


# ---------------------------------------------------------------------------- files


def save_tokenizer(
    tokenizer: Tokenizer,
    path: str | Path,
    config_path: str | Path,
    specials: dict[str, str] = SPECIALS,
) -> None:
    """Write `tokenizer.json` and the `tokenizer_config.json` that `AutoTokenizer` needs.

    `specials`: the tokens by role, `bos_token` among them only if it has one.
    """
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": NO_LIMIT,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,
        **specials,
    }
    with replacing(path) as temporary, replacing(config_path) as temporary_config:
        temporary.write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
        temporary_config.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load_tokenizer(path: str | Path) -> tuple[Tokenizer, TokenizerInfo]:
    """The tokenizer of a `tokenizer.json`, and what others must know of it.

    Special tokens are named by the `tokenizer_config.json` in the same folder; without one, they
    are `<pad>`, `</s>`, `<unk>` where the vocabulary has them. Imports neither torch nor
    transformers. Raises `ValueError` when a text would get anything but one BOS, or nothing,
    around it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such tokenizer")
    tokenizer = _read_tokenizer(path)
    tokenizer.encode_special_tokens = True
    around = tokenizer.encode([], is_pretokenized=True).ids
    text = tokenizer.encode("a").ids
    if len(around) > 1 or (around and (text[0] != around[0] or text[-1] == around[0])):
        raise ValueError(
            f"{path}: it puts {around} around a text; it must put one BOS before it, or nothing"
        )
    config = path.with_name(CONFIG_NAME)
    specials = _read_object(config) if config.is_file() else SPECIALS

    def id_of(role: str) -> int | None:
        name = specials.get(role)
        return tokenizer.token_to_id(name) if isinstance(name, str) else None

    info = TokenizerInfo(
        vocab_size=max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1,
        bos_id=around[0] if around else None,
        eos_id=id_of("eos_token"),
        pad_id=id_of("pad_token"),
        unk_id=id_of("unk_token"),
    )
    return tokenizer, info


def _read_tokenizer(path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(reading(path)))
        tokenizer.encode([], is_pretokenized=True)  # what is around a text may be no token
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"{path}: not a tokenizer ({error})") from None
    if not tokenizer.get_vocab(with_added_tokens=True):
        raise ValueError(f"{path}: not a tokenizer (its vocabulary is empty)")
    return tokenizer


def _read_object(path: Path) -> dict[str, Any]:
    values = read_json(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path}: is a {type(values).__name__}, should be an object {{...}}")
    return values
