"""The model card of a published run: what it is, how it was made and measured, how to load it."""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ontogeny.study.downloads import DOWNLOAD

# Table -> what picks its overall rows, and the columns of the card: title, then value.
RESULTS: dict[str, tuple[dict[str, str], str, str]] = {
    "perplexity": ({}, "perplexity ({probe})", "perplexity"),
    "correlations": ({"group": "all"}, "r with {reference} ({probe})", "r"),
    "minimal_pairs": (
        {"phenomenon": "all", "uid": "all"},
        "accuracy ({probe}, n = {n})",
        "accuracy",
    ),
    "completions": ({"class": "all"}, "accuracy ({probe}, n = {n})", "accuracy"),
}


@dataclass(frozen=True)
class Card:
    """What a model card tells.

    `sections`: the study's sections that made the run, by heading; `texts`: documents, bytes and
    tokens of the training text; `manifests`: of the segments, in order; `tables`: CSV files of the
    run, `losses.csv` among them; `loss_figure`: the name of the picture in the repository.
    """

    repo: str
    study: str
    run: str
    license: str | None
    sections: Mapping[str, Mapping[str, Any]]
    texts: Mapping[str, int]
    manifests: list[dict[str, Any]]
    tables: list[Path]
    loss_figure: str

    @property
    def checkpoints(self) -> list[dict[str, Any]]:
        return [row for manifest in self.manifests for row in manifest["checkpoints"]]

    def text(self) -> str:
        """The card in Markdown, with the Hub's metadata before it."""
        first, last = self.manifests[0], self.checkpoints[-1]
        middle = self.checkpoints[len(self.checkpoints) // 2]["step"]
        model_type = self.sections["Architecture"]["model_type"]
        padding = ", padding included" * (self.sections["Run"]["sampling"] == "documents")
        return f"""{self._front_matter()}
# {self.run}

A language model of type `{model_type}` with {first["parameters"]:,} parameters, trained from
scratch on {last["tokens"]:,} tokens{padding} ({last["step"]:,} steps), with all
{len(self.checkpoints)} of its saved checkpoints. Made with ontogeny
{first["versions"]["ontogeny"]}; study `{self.study}`.

## Load a checkpoint

Each checkpoint is a tag `step-N`; `main` holds the last one.

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("{self.repo}", revision="step-{middle}")
tokenizer = AutoTokenizer.from_pretrained("{self.repo}", revision="step-{middle}")
```

## How it was trained

The training text has {self.texts["documents"]:,} documents, {self.texts["bytes"]:,} bytes,
{self.texts["tokens"]:,} tokens. The seed of the run is {first["seed"]}. Sections of the study:

{self._sections()}
Trained on {first["device"]} with {_versions(first["versions"])}.

![Training loss over tokens]({self.loss_figure})

## Results

Loss is that of the training batch at the step, in nats per token. All numbers, with their
intervals, are in the CSV files of this repository; sha256 and seed of each checkpoint are in
`manifest.json`.

{self._results()}"""

    def _front_matter(self) -> str:
        values: dict[str, Any] = {"license": self.license} if self.license else {}
        values |= {"library_name": "transformers", "pipeline_tag": "text-generation"}
        values["tags"] = ["ontogeny", "training-checkpoints"]
        return f"---\n{yaml.safe_dump(values, sort_keys=False)}---\n"

    def _sections(self) -> str:
        text = ""
        for heading, section in self.sections.items():
            shown = yaml.safe_dump(dict(section), sort_keys=False, allow_unicode=True)
            # names of a study can't hold what Markdown reads; values can
            text += f"### {heading}\n\n{_fenced(shown, 'yaml')}\n\n"
        return text.rstrip("\n") + "\n"

    def _results(self) -> str:
        columns: dict[str, dict[int, str]] = {"loss": {}}
        for path in self.tables:
            with open(path, newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            if path.stem == "losses":
                columns["loss"] = {int(row["step"]): _number(row["loss"]) for row in rows}
            elif path.stem in RESULTS:
                for title, values in _result_columns(path.stem, rows).items():
                    columns[title] = values
        lines = [["step", "tokens", *columns], ["---:"] * (2 + len(columns))]
        for row in self.checkpoints:
            values = [column.get(row["step"], "") for column in columns.values()]
            lines.append([f"{row['step']:,}", f"{row['tokens']:,}", *values])
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def shown_section(section: Mapping[str, Any]) -> dict[str, Any]:
    """A section of the study without the folders of the machine: of paths only the names.

    What stands for a path or for a name on the Hub is a path where it can't be such a name, or
    where there is such a folder.
    """
    shown = dict(section)
    for key in ("files", "validation_files"):
        if key in shown:
            shown[key] = [
                file if file.startswith(DOWNLOAD) else Path(file).name for file in shown[key]
            ]
    for key in {"path", "dataset"} & {key for key, value in shown.items() if value is not None}:
        place = shown[key]
        if place.startswith((".", "/", "~")) or place.count("/") > 1 or Path(place).is_dir():
            shown[key] = Path(place).name
    return shown


def _result_columns(table: str, rows: Iterable[dict[str, str]]) -> dict[str, dict[int, str]]:
    overall, title, value = RESULTS[table]
    columns: dict[str, dict[int, str]] = {}
    for row in rows:
        if all(row[key] == wanted for key, wanted in overall.items()):
            column = columns.setdefault(title.format_map(row), {})
            column[int(row["step"])] = _number(row[value])
    return columns


def _fenced(text: str, language: str) -> str:
    """A block of code that nothing in it ends: its fence is longer than any run of backticks."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}{fence}"


def _number(text: str) -> str:
    """Four digits are what a card needs; empty where there is no number."""
    return f"{float(text):.4g}" if text else ""


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
