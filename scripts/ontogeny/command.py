"""What every script does around its work: flush what it prints, report a mistake in one line.

A mistake of the person who calls (`ValueError`, `OSError`: a missing file, a line that can't be
read, a key that is wrong) ends with `error: ...` on stderr and exit code 1, without a traceback.
That also hides where an error of this program itself came from, so the environment variable
`ONTOGENY_TRACEBACK=1` brings the traceback back. All other exceptions keep theirs.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable

from pydantic import ValidationError

from ontogeny import origins

INTERRUPTED = 130
TERMINATED = 128 + signal.SIGTERM


def run(main: Callable[[], None], is_job: bool = True) -> None:
    """Call `main`, then leave the process: exit code 0, or 1 and `error: ...` on stderr; 143 after
    a SIGTERM. What a job of a study writes goes on record (`origins`).

    Rust libraries (`tokenizers`) take their number of threads from OMP_NUM_THREADS, which
    Snakemake sets to the threads of the rule, unless RAYON_NUM_THREADS says otherwise.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)
    signal.signal(signal.SIGTERM, _terminate)
    if is_job:
        origins.begin(sys.argv)
    if threads := os.environ.get("OMP_NUM_THREADS"):
        os.environ.setdefault("RAYON_NUM_THREADS", threads)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ValidationError as error:
        places = ([error.title, *map(str, e["loc"])] for e in error.errors())
        messages = (e["msg"].removeprefix("Value error, ") for e in error.errors())
        lines = map(": ".join, zip(map(".".join, places), messages, strict=True))
        sys.exit(f"error: {'; '.join(lines)}")
    except (ValueError, OSError, EOFError) as error:
        if os.environ.get("ONTOGENY_TRACEBACK"):
            raise
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(1)


def _terminate(*_) -> None:
    """End at once, but through every `finally`: no file is left half-written."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    print("stopped (SIGTERM); what was finished is kept", file=sys.stderr)
    sys.exit(TERMINATED)


def add_probes(parser: argparse.ArgumentParser) -> None:
    """The argument `--probe`, once for each probe that a table is about."""
    parser.add_argument(
        "--probe",
        nargs=3,
        action="append",
        required=True,
        metavar=("NAME", "SPEC", "STIMULI"),
        help="a probe: its name, its JSON as in a study, and the file of its stimuli",
    )


def add_words(parser: argparse.ArgumentParser) -> None:
    """How the words of binomials are read: arguments that `read_words` takes."""
    parser.add_argument("--word1", default="Word1", help="column of the first word (%(default)s)")
    parser.add_argument("--word2", default="Word2", help="column of the second (%(default)s)")
    parser.add_argument(
        "--order",
        choices=("alphabetical", "first"),
        default="alphabetical",
        help="which is the first order of an item: as in a study's probe (default: %(default)s)",
    )


def whole_number(least: int) -> Callable[[str], int]:
    """A type of argument: a whole number of at least `least`."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least {least}")
        return int(text)

    return parse


def one_line(error: Exception) -> str:
    """The message of an exception as one line; of a file's error, `FILE: what is wrong`."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    message = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return message or type(error).__name__
