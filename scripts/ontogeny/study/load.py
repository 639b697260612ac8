"""From the mapping in a config file to a checked study with all its runs."""

import itertools
import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ontogeny.study.corpora import ToyCorpus
from ontogeny.study.derivation import derivation_problems, without_holdout
from ontogeny.study.downloads import resolved
from ontogeny.study.errors import StudyError, describe, nearest
from ontogeny.study.files import read_files
from ontogeny.study.models import Study
from ontogeny.study.runs import Grid, HubRun, Run
from ontogeny.study.scales import at_scale, layered, with_scale
from ontogeny.study.section import repo_name


def load_files(files: Sequence[Path], last: Mapping[str, Any] | None = None) -> Study:
    """The study that stands in files, each laid over those before it, and `last` over all.

    The scales that are not chosen are checked too, where there is but one file. Raises StudyError
    with one line for each problem.
    """
    layers = read_files(files)
    study = load_study(*layers, last or {})
    if len(layers) == 1:
        problems = list(_problems_of_scales(layers[0], study.scale))
        if problems:
            raise StudyError(problems)
    return study


def load_study(config: dict[str, Any], *later: Mapping[str, Any]) -> Study:
    """Check a study at its scale and expand its grid: `study.runs` then holds every run by name.

    The keys of `later` ones are laid over it and hold at every scale: of other files, and at last
    of the command line. Raises StudyError with one line for each problem.
    """
    try:
        return _load(at_scale(config, *later))
    except StudyError as error:
        raise StudyError(with_scale(error.problems, layered(config, *later))) from None


def _problems_of_scales(config: dict[str, Any], chosen: str | None) -> Iterator[str]:
    """What is wrong with what the scales say that are not chosen."""
    for scale in config.get("scales") or {}:
        if scale != chosen:
            try:
                load_study({**config, "scale": scale})
            except StudyError as error:
                yield from (line for line in error.problems if line.startswith("scales."))


def _load(config: dict[str, Any]) -> Study:
    try:
        without_runs = Study.model_validate({**config, "runs": {}})
    except ValidationError as error:
        raise StudyError(describe(error, Study)) from None
    config = resolved(config, without_runs.downloads)
    runs, origin = _expand(without_runs.grid, config.get("runs") or {})
    try:
        study = Study.model_validate({**config, "runs": runs})
    except ValidationError as error:
        lines = (_with_origin(line, origin) for line in describe(error, Study))
        raise StudyError(dict.fromkeys(lines)) from None
    problems = list(_problems(study))
    if problems:
        raise StudyError(problems)
    return study


def _expand(grid: list[Grid], named: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Runs of the grid, with the keys of `named` laid over them, and where each came from."""
    runs: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for position, family in enumerate(grid):
        if _is_from_elsewhere(family.run):
            raise StudyError(
                [
                    f"grid[{position}].run.source: a run of the grid is trained; put one from "
                    "elsewhere under `runs`"
                ]
            )
        for choice in itertools.product(
            family.architectures, family.corpora, family.tokenizers, family.seeds
        ):
            keys = dict(zip(("architecture", "corpus", "tokenizer", "seed"), choice, strict=True))
            name = _run_name(family, keys, position)
            if name in runs:
                raise StudyError(
                    [
                        f"grid[{position}]: two runs would be named {name!r}; tell them apart in "
                        "`name`, for example '{architecture}-{corpus}-{seed}'"
                    ]
                )
            fixed = sorted(set(family.run) & set(keys))
            if fixed:
                raise StudyError([f"grid[{position}].run.{fixed[0]}: comes from the grid's lists"])
            runs[name] = {"source": "train", **family.run, **keys}
            origin[name] = f"grid[{position}].run"
    if not isinstance(named, dict):
        raise StudyError([f"runs: found {named!r}, should be a mapping from names to runs"])
    for name, keys in named.items():
        if name in runs and isinstance(keys, dict):
            if _is_from_elsewhere(keys):
                raise StudyError(
                    [f"runs.{name}: a run of the grid is trained; give this run another name"]
                )
            runs[name] = _merged(runs[name], keys)
            del origin[name]
        else:
            runs[name] = {"source": "train", **keys} if isinstance(keys, dict) else keys
    return runs, origin


def _is_from_elsewhere(keys: dict[str, Any]) -> bool:
    return keys.get("source") in ("hub", "scores")


def _run_name(family: Grid, keys: dict[str, Any], position: int) -> str:
    template = family.name
    if template is None:
        template = "{architecture}-{corpus}"
        template += "-{tokenizer}" if len(family.tokenizers) > 1 else ""
        template += "-{seed}" if len(family.seeds) > 1 else ""
    try:
        fields = list(string.Formatter().parse(template))
        if any(name is not None and (name not in keys or form) for _, name, form, _ in fields):
            raise ValueError
        return template.format(**keys)
    except ValueError:
        raise StudyError(
            [
                f"grid[{position}].name: {template!r} may only use {{architecture}}, {{corpus}}, "
                "{tokenizer} and {seed}"
            ]
        ) from None


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `over`; mappings in both are merged, and one budget replaces the
    other."""
    result = dict(base)
    if "tokens" in over or "steps" in over:
        result.pop("tokens", None)
        result.pop("steps", None)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result


def _with_origin(line: str, origin: dict[str, str]) -> str:
    """A line about a run of the grid, told of the grid: that is where the person has to look."""
    for name, place in origin.items():
        if line.startswith((f"runs.{name}.", f"runs.{name}:")):
            return place + line.removeprefix(f"runs.{name}")
    return line


def _problems(study: Study) -> Iterator[str]:
    """What only shows when sections are seen together."""
    yield from derivation_problems(study.corpora)
    yield from _run_problems(study)
    yield from _tokenizer_problems(study)
    yield from _probe_problems(study)
    yield from _publish_problems(study)


def _run_problems(study: Study) -> Iterator[str]:
    if not study.runs:
        yield "runs: the study has no model to look at; give `runs` or a `grid`"
    for name, run in study.runs.items():
        for key, defined in (
            ("corpus", study.corpora),
            ("tokenizer", study.tokenizers),
            ("architecture", study.architectures),
            ("probe", study.probes),
        ):
            value = getattr(run, key, None)
            if value is not None and value not in defined:
                yield f"runs.{name}: {key} {value!r} is not defined; {nearest(value, defined)}"
        if isinstance(run, Run):
            yield from _length_problems(study, name, run)
        elif isinstance(run, HubRun):
            yield from _corpus_free_problems(study, name)
        elif run.probe in study.probes and study.probes[run.probe].type != "binomials":
            yield (
                f"runs.{name}.probe: {run.probe!r} is a {study.probes[run.probe].type} probe; "
                "published scores are read for binomials probes only"
            )


def _length_problems(study: Study, name: str, run: Run) -> Iterator[str]:
    architecture = study.architectures.get(run.architecture)
    positions = architecture.positions() if architecture else None
    if positions is not None and run.block_size > positions:
        yield (
            f"runs.{name}.block_size: {run.block_size} tokens do not fit into the {positions} "
            f"positions of architecture {run.architecture!r}; shorten the blocks or raise its "
            "max_position_embeddings"
        )


def _corpus_free_problems(study: Study, name: str) -> Iterator[str]:
    for probe, settings in study.probes.items():
        if settings.type == "perplexity" and settings.corpus is None:
            yield (
                f"probes.{probe}: names no corpus, and run {name!r}, which was trained elsewhere, "
                "has none of its own; give `corpus`"
            )


def _tokenizer_problems(study: Study) -> Iterator[str]:
    for name, tokenizer in study.tokenizers.items():
        corpus = getattr(tokenizer, "corpus", None)
        if corpus is not None and corpus not in study.corpora:
            yield (
                f"tokenizers.{name}: corpus {corpus!r} is not defined; "
                f"{nearest(corpus, study.corpora)}"
            )


def _probe_problems(study: Study) -> Iterator[str]:
    for name, probe in study.probes.items():
        for corpus in probe.only_corpora:
            if corpus not in study.corpora:
                yield (
                    f"probes.{name}.only_corpora: corpus {corpus!r} is not defined; "
                    f"{nearest(corpus, study.corpora)}"
                )
        key = {"binomials": "items_from", "minimal_pairs": "pairs_from", "perplexity": "corpus"}
        given = getattr(probe, key.get(probe.type, ""), None)
        if given is not None and given not in study.corpora:
            yield f"probes.{name}: corpus {given!r} is not defined; {nearest(given, study.corpora)}"
        elif probe.type == "perplexity":
            yield from _holdout_problems(study, name, given)
        elif given is not None and not isinstance(study.corpora[given], ToyCorpus):
            own = key[probe.type].removesuffix("_from")
            yield (
                f"probes.{name}.{own}_from: corpus {given!r} is not in the toy language, so it has "
                f"no {probe.type.replace('_', ' ')} of its own; give a file in `{own}`"
            )


def _holdout_problems(study: Study, probe: str, corpus: str | None) -> Iterator[str]:
    trained = [run for run in study.runs.values() if isinstance(run, Run)]
    used = {run.corpus for run in trained} if corpus is None else {corpus}
    for name in sorted(used & set(study.corpora)):
        for source in without_holdout(study.corpora, name):
            yield (
                f"probes.{probe}: corpus {name!r} holds nothing out to measure perplexity on; set "
                f"corpora.{source}.holdout.share above 0"
            )


def _publish_problems(study: Study) -> Iterator[str]:
    trained = [name for name, run in study.runs.items() if isinstance(run, Run)]
    if study.publish and study.keep_checkpoints == "none":
        yield "publish: there are no checkpoints to publish with keep_checkpoints: none"
    if study.publish and len(trained) > 1 and "{run}" not in study.publish.repo:
        yield (
            f"publish.repo: {study.publish.repo!r} is one repository for {len(trained)} runs; put "
            "{run} into it"
        )
    elif study.publish:
        for name in trained:
            try:
                repo_name(study.publish.repo_of(study.study, name))
            except ValueError as error:
                yield f"publish.repo: {error}"
