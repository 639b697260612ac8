"""Which probe a file of stimuli is for, told by its name or by the columns that it has."""

from pathlib import Path

from ontogeny.scoring.stimuli.rows import read_header

COLUMNS = {
    "minimal_pairs": ("good", "bad"),
    "completions": ("prompt", "answer"),
}
MOST_CHARACTERS_SHOWN = 200


def kind_of(path: Path, words: tuple[str, str] = ("Word1", "Word2")) -> str:
    """`binomials`, `minimal_pairs`, `completions` or `perplexity`: a type of probe.

    `words` are the columns of a binomial's words. Nothing below the header is read. Raises
    ValueError for a file that is none of them.
    """
    if not path.exists():
        raise ValueError(f"{path}: there is no such file")
    name = path.name.lower()
    if path.is_dir() or name.endswith((".jsonl", ".jsonl.gz", ".zip")):
        return "minimal_pairs"
    if name.endswith(".txt"):
        return "perplexity"
    header = read_header(path)
    for kind, columns in {"binomials": words, **COLUMNS}.items():
        if set(columns) <= set(header):
            return kind
    shown = ", ".join(map(repr, header))
    if len(shown) > MOST_CHARACTERS_SHOWN:
        shown = shown[:MOST_CHARACTERS_SHOWN] + "..."
    raise ValueError(
        f"{path}: no probe reads a file with the header {shown or '(nothing)'}; stimuli are a CSV "
        f"with {','.join(words)} (binomials), a CSV with good,bad or BLiMP's .jsonl, a folder or "
        ".zip of it (minimal_pairs), a CSV with prompt,answer (completions), or a .txt (perplexity)"
    )
