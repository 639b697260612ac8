"""Download a file of a study, check it, and write a record beside it (FILE.json). A file that is
there already is only checked. What a break leaves is hidden, and continued by the next call."""

import argparse
from pathlib import Path

from ontogeny.command import run
from ontogeny.downloads.obtain import obtain
from ontogeny.progress import say
from ontogeny.study.downloads import Download


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="name of the download")
    parser.add_argument(
        "--spec",
        required=True,
        help='the download as JSON, as in a study: {"url": "https://..."}',
    )
    parser.add_argument("--output", type=Path, required=True, help="the file")
    args = parser.parse_args()
    download = Download.model_validate_json(args.spec)
    record = obtain(args.name, download, args.output)
    if download.sha256 is None:
        say(f"to keep to this content, put into downloads.{args.name}: sha256: {record['sha256']}")


if __name__ == "__main__":
    run(main, is_job=False)
