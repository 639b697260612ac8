"""Progress of a long script: a bar on a terminal, a log line now and then otherwise."""

import sys
import time

from tqdm import tqdm

LOG_EVERY_SECONDS = 15.0


def say(message: str) -> None:
    """One line for the person who watches or reads the log."""
    tqdm.write(message, file=sys.stderr)
    sys.stderr.flush()


class Progress:
    """Counts done units of `total`; `note` stands beside the count (`loss 3.21`).

    Use as a context manager and call `advance(n, note)`.
    """

    def __init__(self, what: str, total: int, unit: str):
        self.what, self.total, self.unit = what, total, unit
        self.done = 0
        self.start = self.last_line = time.monotonic()
        self.bar = (
            tqdm(total=total, desc=what, unit=f" {unit}", file=sys.stderr, unit_scale=True)
            if sys.stderr.isatty()
            else None
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind, *_) -> None:
        if self.bar is not None:
            self.bar.close()
        elif kind is None:
            seconds = time.monotonic() - self.start
            say(f"{self.what}: {self.done:,} {self.unit} in {seconds:.1f} s")

    def advance(self, n: int, note: str = "") -> None:
        self.done += n
        if self.bar is not None:
            self.bar.update(n)
            if note:
                self.bar.set_postfix_str(note, refresh=False)
        elif time.monotonic() - self.last_line >= LOG_EVERY_SECONDS:
            self.last_line = time.monotonic()
            rate = self.done / (self.last_line - self.start)
            share = f"{self.done / self.total:.0%}, " if self.total else ""
            line = (
                f"{self.what}: {self.done:,} of {self.total:,} {self.unit}"
                if self.total
                else (f"{self.what}: {self.done:,} {self.unit}")
            )
            say(f"{line} ({share}{rate:,.0f}/s) {note}".rstrip())
