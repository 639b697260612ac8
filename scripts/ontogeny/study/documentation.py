"""The page and the JSON schema of a study file, made from the models' descriptions."""

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ontogeny.study import corpora, downloads, models, probes, publish, runs
from ontogeny.study.models import Study

HEAD = """# Every key of a study file

A study is one YAML file: `config.yaml` is the default one, others are chosen with
`snakemake --configfile FILE`. Keys that have a default may be left out; unknown keys are errors.
Names are lowercase letters, digits, `.`, `_` and `-`. Relative paths are relative to the project's
folder. This page is made from the code (`python scripts/document_config.py`).

Several files, `--configfile FILE CHANGES`, and `--config KEY=VALUE` after them are laid over each
other in their order, as a scale is laid over the study (`scales` below): mappings are merged, a
section of another kind is replaced, one of `tokens` and `steps` replaces the other, `null` removes
a key. What a later one says holds at every scale. Files are YAML in UTF-8; a key that stands twice,
and a number that YAML reads in another base (`010` is 8), are errors.
"""

PLACES: list[tuple[str, list[type[BaseModel]]]] = [
    ("the file", [Study]),
    ("`downloads.NAME`", [downloads.Download]),
    (
        "`corpora.NAME`",
        [
            corpora.ToyCorpus,
            corpora.FactsCorpus,
            corpora.FilesCorpus,
            corpora.HubCorpus,
            corpora.MixCorpus,
            corpora.TakeCorpus,
            corpora.RemoveCorpus,
            corpora.InsertCorpus,
        ],
    ),
    ("`corpora.NAME.holdout`", [corpora.Holdout]),
    (
        "`tokenizers.NAME`",
        [models.BpeTokenizer, models.CharacterTokenizer, models.PretrainedTokenizer],
    ),
    ("`architectures.NAME`", [models.Architecture]),
    (
        "`probes.NAME`",
        [
            probes.BinomialsProbe,
            probes.MinimalPairsProbe,
            probes.CompletionsProbe,
            probes.PerplexityProbe,
        ],
    ),
    ("`probes.NAME.references.NAME`", [probes.Reference]),
    ("`probes.NAME.sample`", [probes.PairSample]),
    ("`grid[]`", [runs.Grid]),
    ("`runs.NAME`", [runs.Run, runs.HubRun, runs.ScoresRun]),
    ("`runs.NAME.optimizer`", [runs.Optimizer]),
    ("`runs.NAME.checkpoints`", [runs.Checkpoints]),
    ("`publish`", [publish.Publish]),
    ("`resources`", [models.Stages]),
    ("`resources.STAGE`", [models.Resources]),
    ("`resources.train`", [models.TrainResources]),
]


def schema_text() -> str:
    """JSON schema of a study file, for editors. A run that only changes keys of one of the grid's
    needs none of them."""
    schema = Study.model_json_schema()
    part = {key: value for key, value in schema["$defs"]["Run"].items() if key != "required"}
    schema["$defs"]["PartOfRun"] = part
    runs = schema["properties"]["runs"]["patternProperties"]
    for pattern, whole in runs.items():
        runs[pattern] = {"anyOf": [whole, {"$ref": "#/$defs/PartOfRun"}]}
    return json.dumps(schema, indent=2) + "\n"


def page_text() -> str:
    """The Markdown page: a table of keys for each section of a study file."""
    return HEAD + "".join(_sections())


def _sections() -> Iterator[str]:
    for place, sections in PLACES:
        yield f"\n## {place[0].upper()}{place[1:]}\n"
        for section in sections:
            text = re.sub(r"\s+", " ", section.__doc__ or "").strip()
            if len(sections) > 1:
                kind = section.model_fields.get("source") or section.model_fields["type"]
                key = "source" if "source" in section.model_fields else "type"
                yield f"\n### `{key}: {get_args(kind.annotation)[0]}`\n"
            yield f"\n{text}\n\n| key | default | what it is |\n|---|---|---|\n"
            for name, field in section.model_fields.items():
                yield f"| `{name}` | {_default(field.default)} | {_cell(field.description)} |\n"


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "*required*"
    if value is None:
        return ""
    if isinstance(value, BaseModel):
        changed = value.model_dump(exclude_defaults=True)
        return f"`{json.dumps(changed)}`" if changed else "the defaults below"
    return f"`{json.dumps(value)}`"


def _cell(text: str | None) -> str:
    if not text:
        raise ValueError("every key of a study needs a description")
    return text.replace("|", "\\|").replace("\n", " ")
