"""Write docs/config.md and docs/study.schema.json from the descriptions in the code."""

import argparse
from pathlib import Path

from ontogeny.command import run
from ontogeny.files import write_text
from ontogeny.paths import PROJECT
from ontogeny.study.documentation import page_text, schema_text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=PROJECT / "docs", help="where to write")
    args = parser.parse_args()
    write_text(args.folder / "config.md", page_text())
    write_text(args.folder / "study.schema.json", schema_text())


if __name__ == "__main__":
    run(main, is_job=False)
