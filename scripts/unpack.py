"""Take one member out of a zip or tar archive."""

import argparse
from pathlib import Path

from ontogeny.command import run
from ontogeny.downloads.unpack import unpack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path, required=True, help="the archive")
    parser.add_argument("--member", required=True, help="path of the member in the archive")
    parser.add_argument("--output", type=Path, required=True, help="the file to write")
    args = parser.parse_args()
    unpack(args.archive, args.member, args.output)


if __name__ == "__main__":
    run(main)
