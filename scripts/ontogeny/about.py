"""What a folder of results says of itself: the study that it is of, and what is where.

Nothing here tells the time or the machine, so the same study gives the same bytes.
"""

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from ontogeny.study import Study
from ontogeny.study.runs import HubRun, Run, ScoresRun

MOST_NAMES = 8  # in a list that people read
WIDTH = 100
HEAD = """\
# The study {name} as it was run: every run by its name, at its scale. Keys with their default value
# are left out, and so are `resources` and `keep_checkpoints`, which change no result.
#   {command}
"""


def study_file(values: Mapping[str, Any], root: str) -> str:
    """A resolved study as YAML that can be run again."""
    head = HEAD.format(name=values["study"], command=command(root))
    return head + yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=WIDTH)


def command(root: str) -> str:
    """What makes the results again."""
    return f"snakemake --cores all --configfile {root}/study.yaml"


def readme(study: Study, root: str, versions: Mapping[str, str]) -> str:
    """README.md: what the study is, in a few sentences, and a row for each place of its files.

    `versions`: `ontogeny`, and `commit` where it is known.
    """
    made_with = ", ".join(f"{name} {number}" for name, number in versions.items())
    places = "".join(f"| {place} | {what} |\n" for place, what in _places(study))
    return f"""# {study.study}

{_wrapped(f"{_runs(study)} {_probes(study)} Made with {made_with}.")}

| | |
|---|---|
{places}
What each column of a table means is in `docs/tables.md` of ontogeny. To make these results again,
in the folder of the project (what is here and up to date is not made again):

```bash
{command(root)}
```
"""


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _runs(study: Study) -> str:
    """Sentences on the runs of each source."""
    kinds = {kind: _of(study, kind) for kind in (Run, HubRun, ScoresRun)}
    sentences = []
    if trained := kinds[Run]:
        runs = trained.values()
        tokens = sorted({run.last_step * run.tokens_per_step for run in runs})
        budget = f"{tokens[0]:,}" + (f" to {tokens[-1]:,}" if len(tokens) > 1 else "")
        parts = [
            ("architecture", [run.architecture for run in runs]),
            ("corpus", [run.corpus for run in runs]),
            ("tokenizer", [run.tokenizer for run in runs]),
            ("seed", [str(run.seed) for run in runs]),
        ]
        made_of = "; ".join(f"{what} {_names(names)}" for what, names in parts)
        sentences.append(f"{_count(trained, 'run')} trained on {budget} tokens ({made_of}).")
    if fetched := kinds[HubRun]:
        models = _names(run.model for run in fetched.values())
        sentences.append(f"{_count(fetched, 'run')} of published checkpoints ({models}).")
    if released := kinds[ScoresRun]:
        sentences.append(f"{_count(released, 'run')} of published scores.")
    return " ".join(sentences)


def _of(study: Study, kind: type) -> dict[str, Any]:
    return {name: run for name, run in study.runs.items() if isinstance(run, kind)}


def _count(things: Mapping[str, Any], what: str) -> str:
    return f"{len(things):,} {what}{'s' * (len(things) > 1)}"


def _names(names: Iterable[str]) -> str:
    """Each once, in their order; of many only the first."""
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _probes(study: Study) -> str:
    kinds = [f"`{name}` ({probe.type.replace('_', ' ')})" for name, probe in study.probes.items()]
    return f"Checkpoints are scored on {', '.join(kinds)}." if kinds else "There is no probe."


def _places(study: Study) -> Iterable[tuple[str, str]]:
    """The places of files, each in backticks, with what is there."""
    trained, fetched = _of(study, Run), _of(study, HubRun)
    yield "`study.yaml`, `environment.txt`", "the study, which can be run again; what is installed"
    yield "`tables/runs.csv`", "every run: its settings, size and length, and its last loss"
    yield "`tables/`, `figures/`", "tables and figures; those of a run in a folder of its name"
    if study.probes:
        yield "`scores/PROBE/RUN/`", "scores of every checkpoint, a row for each stimulus"
    if trained and any(probe.type == "binomials" for probe in study.probes.values()):
        yield "`exposures/PROBE/`", "how often each run had read each item by each checkpoint"
    if trained:
        yield "`runs/RUN/checkpoints/`", "weights, in folders that `transformers` loads"
        yield "`corpora/`, `tokenizers/`, `tokens/`", "the text, and the text in tokens"
        yield "`architectures/`", "numbers of parameters, and each configuration in full"
    if trained or fetched:
        yield "`runs/RUN/segments/`", "manifests: sha256 of each checkpoint, versions, device"
    yield "`logs/`, `benchmarks/`", "what each job printed, and how long it took"
