"""List the checkpoints of a model on the Hub: its tags and branches whose names tell a step, with
their commits and the sha256 of their weights. Nothing is downloaded."""

import argparse
from dataclasses import asdict
from pathlib import Path

from ontogeny.command import run as run_command
from ontogeny.files import write_rows
from ontogeny.progress import say
from ontogeny.published.hub import connect
from ontogeny.published.listing import list_revisions, twins


def whole_number(text: str) -> int:
    if not text.replace("_", "").isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number above 0")
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="repository on the Hub: owner/name")
    parser.add_argument("--output", type=Path, required=True, help="the list (CSV)")
    parser.add_argument(
        "--tokens-per-step",
        type=whole_number,
        help="tokens = step x this; needed where the names do not tell tokens, and better where "
        "they tell rounded ones",
    )
    parser.add_argument(
        "--include", default="*", help="pattern of the names to list, such as 'stage1-*'"
    )
    args = parser.parse_args()
    found = list_revisions(connect(), args.model, args.tokens_per_step, args.include)
    rows = list(found)
    write_rows(args.output, [asdict(row) for row in rows])
    say(f"{args.output}: {len(rows)} checkpoints, step {rows[0].step:,} to {rows[-1].step:,}")
    if same := twins(found):
        sets = "; ".join(" = ".join(names) for names in same)
        raise ValueError(
            f"{args.output}: is written, but revisions of {args.model} hold the same weights, or "
            f"share a shard: {sets}; at most one of each set is what its name says: find out which "
            "(the model's page, its discussions) and remove the lines of the others"
        )


if __name__ == "__main__":
    run_command(main, is_job=False)
