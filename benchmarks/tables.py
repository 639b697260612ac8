"""Tables of what was measured, and where."""

import os
import platform
import time
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

BF16_HEAD = ("pairs", "spread of preferences, nat", "largest change, nat", "mean change, nat")


def print_table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a Markdown table with a line above it."""
    print(f"\n{title}\n")
    for cells in (head, ["---"] * len(head), *rows):
        print("|", " | ".join(map(str, cells)), "|", flush=True)


def print_machine(more: Sequence[str], threads: int) -> None:
    """Print what was measured where, when and with which versions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = [f"Python {platform.python_version()}"]
    for package in ("torch", "transformers", "tokenizers", *more):
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            versions.append(f"no {package}")
    print(f"{time.strftime('%Y-%m-%d %H:%M')}; {os.cpu_count()} cores ({model}), {size:.0f} GiB,")
    print(f"{threads} threads; {', '.join(versions)}; load average before: {load_average()}")


def load_average() -> str:
    """Of the last 1, 5 and 15 minutes."""
    return ", ".join(f"{load:.1f}" for load in os.getloadavg())


def bf16_change(full: np.ndarray, half: np.ndarray) -> tuple[str, ...]:
    """What bf16 changes in the preferences of pairs of strings [pairs x 2]: cells of a row."""
    full, half = (sums.reshape(-1, 2) @ [1.0, -1.0] for sums in (full, half))
    change = np.abs(half - full)
    flips = np.sign(half) != np.sign(full)
    flipped = np.abs(full[flips]).max(initial=0.0)
    return (
        f"{len(full):,}",
        f"{full.std():.3f}",
        f"{change.max():.3f}",
        f"{change.mean():.4f}",
        f"{flips.mean():.2%}",
        f"{flipped:.3f}",
    )


def print_bf16(title: str, first: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print the table that `bf16_change` fills."""
    more = ("signs that flip", "largest preference that flips, nat")
    print_table(title, (*first, *BF16_HEAD, *more), rows)
