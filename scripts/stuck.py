"""Where a run gets stuck: the state of each paradigm of minimal pairs at every checkpoint, the fate
of each paradigm, and the share of paradigms that fail."""

import argparse
from pathlib import Path

from ontogeny.analysis.minimal_pairs import COLUMNS
from ontogeny.analysis.states import pair_states
from ontogeny.analysis.stuck import failing_shares, paradigm_fates
from ontogeny.command import run as run_command
from ontogeny.files import replacing
from ontogeny.tables import read_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, help="the table of minimal pairs of a run (CSV)")
    for name, content in (
        ("states", "a row for each paradigm and checkpoint"),
        ("paradigms", "a row for each paradigm"),
        ("failing", "a row for each threshold of accuracy"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, help=f"{content} (CSV)")
    args = parser.parse_args()
    states = pair_states(read_table(args.table, COLUMNS))
    paradigms = paradigm_fates(states)
    tables = {args.states: states, args.paradigms: paradigms}
    for path, table in (tables | {args.failing: failing_shares(paradigms)}).items():
        with replacing(path) as temporary:
            table.write_csv(temporary)


if __name__ == "__main__":
    run_command(main)
