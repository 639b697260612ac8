"""Publish one run on the Hub: each checkpoint a commit with the tag `step-N`; on `main` the last
one with a model card, the loss curve, the tables and the manifest. Run again, it goes on where it
was interrupted. The record is written when the server has been asked for everything."""

import argparse
import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ontogeny.command import run as run_command
from ontogeny.files import read_json, write_json, write_text
from ontogeny.paths import Paths
from ontogeny.progress import say
from ontogeny.published.card import Card, shown_section
from ontogeny.published.hub import connect
from ontogeny.published.publish import Step, check_local, publish
from ontogeny.study.corpora import Corpus
from ontogeny.study.downloads import Download
from ontogeny.study.models import Architecture, Tokenizer
from ontogeny.study.publish import Publish
from ontogeny.study.runs import Run

SECTIONS = {
    "run": ("Run", TypeAdapter(Run)),
    "architecture": ("Architecture", TypeAdapter(Architecture)),
    "corpus": ("Corpus", TypeAdapter(Corpus)),
    "sources": ("Corpus", TypeAdapter(Corpus)),
    "downloads": ("Download", TypeAdapter(Download)),
    "tokenizer": ("Tokenizer", TypeAdapter(Tokenizer)),
}
NAMED = ("sources", "downloads")  # several by name


def sections_of(spec: str) -> dict[str, dict[str, Any]]:
    """The study's sections by heading, with the keys that are left at their defaults."""
    shown = {}
    for key, given in json.loads(spec).items():
        heading, kind = SECTIONS[key]
        several = {f"{heading} `{name}`": section for name, section in given.items()}
        for title, section in (several if key in NAMED else {heading: given}).items():
            values = kind.validate_python(section).model_dump(mode="json")
            shown[title] = shown_section(values)
    return shown


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--name", required=True, help="name of the run")
    parser.add_argument("--publish", required=True, help="JSON: the study's section `publish`")
    parser.add_argument(
        "--spec",
        required=True,
        help='JSON {"run": ..., "architecture": ..., "corpus": ..., "sources": {NAME: ...}, '
        '"downloads": {NAME: ...}, "tokenizer": ...}; sources: what the corpus is made from',
    )
    parser.add_argument("--manifests", type=Path, nargs="+", required=True, help="of the segments")
    parser.add_argument("--meta", type=Path, required=True, help="meta.json of the training tokens")
    parser.add_argument("--tokenizer", type=Path, nargs="+", required=True, help="its files")
    parser.add_argument("--loss-figure", type=Path, required=True, help="the loss curve (PNG)")
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="tables of the run")
    parser.add_argument("--study-folder", required=True, help="results/<study>")
    parser.add_argument("--card", type=Path, required=True, help="the model card, also kept here")
    parser.add_argument("--manifest", type=Path, required=True, help="the joined manifest, too")
    parser.add_argument("--output", type=Path, required=True, help="the record (JSON)")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    api = connect(writes=True)
    section = Publish.model_validate_json(args.publish)
    repo = section.repo_of(args.study, args.name)
    paths = Paths(args.study_folder)
    manifests = [read_json(path) for path in args.manifests]
    steps = []
    for row in (row for manifest in manifests for row in manifest["checkpoints"]):
        names = ("model.safetensors", "config.json")
        files = {name: Path(paths.checkpoint(args.name, row["step"], name)) for name in names}
        files |= {path.name: path for path in args.tokenizer}
        steps.append(Step(row["step"], row["tokens"], row["sha256"], files))
    check_local(steps)
    card = Card(
        repo=repo,
        study=args.study,
        run=args.name,
        license=section.license,
        sections=sections_of(args.spec),
        texts=read_json(args.meta)["splits"]["train"],
        manifests=manifests,
        tables=args.tables,
        loss_figure=args.loss_figure.name,
    )
    write_text(args.card, card.text())
    write_json(args.manifest, {"run": args.name, "segments": manifests})
    on_main = {"README.md": args.card, "manifest.json": args.manifest}
    on_main |= {path.name: path for path in (args.loss_figure, *args.tables)}
    record = publish(api, repo, section.private, steps, on_main)
    write_json(args.output, {"run": args.name, **record})
    say(f"{args.name}: {len(steps)} checkpoints are at {api.endpoint}/{repo}, verified")


if __name__ == "__main__":
    run_command(main)
