"""Numbers and tables for people who read them in a terminal."""


def cell(number: float | None) -> str:
    """A number with so many digits as a person reads."""
    if number is None:
        return ""
    if isinstance(number, int) or number >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 1 else f"{number:.2g}"


def gigabytes(size: int | None) -> float | None:
    """Of bytes, 10^9 to each."""
    return None if size is None else size / 1e9


def print_table(columns: tuple[str, ...], rows: list[list[str]], left: int) -> None:
    """As Markdown; the first `left` columns are words, the others numbers."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    rule = ["-" * width if i < left else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    for line in (columns, rule, *rows):
        cells = zip(line, widths, strict=True)
        padded = [f"{t:<{w}}" if i < left else f"{t:>{w}}" for i, (t, w) in enumerate(cells)]
        print("|", " | ".join(padded), "|")
