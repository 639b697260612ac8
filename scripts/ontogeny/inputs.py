"""Checks of the files that a study reads, before any job starts. Standard library only."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from ontogeny.corpus.facts import facts_text
from ontogeny.corpus.toy_columns import item_columns
from ontogeny.downloads.records import check_there, conflict, record_of
from ontogeny.interventions.items import check_files
from ontogeny.origins import sha256
from ontogeny.paths import PROJECT, download_path, project_path
from ontogeny.published.revisions import read_revisions, sampled
from ontogeny.published.score_files import by_step, published_files
from ontogeny.scoring.stimuli.binomials import (
    needed_columns,
    read_all_weights,
    read_binomials,
    read_prompts,
)
from ontogeny.scoring.stimuli.completions import read_questions
from ontogeny.scoring.stimuli.minimal_pairs import read_minimal_pairs
from ontogeny.scoring.stimuli.remarks import remarks
from ontogeny.scoring.stimuli.responses import choices_by_item, read_responses
from ontogeny.study.corpora import FactsCorpus, FilesCorpus, InterventionCorpus
from ontogeny.study.downloads import DOWNLOAD, Download
from ontogeny.study.errors import StudyError
from ontogeny.study.models import Study
from ontogeny.study.probes import BinomialsProbe, CompletionsProbe, MinimalPairsProbe
from ontogeny.study.runs import HubRun, Run, ScoresRun
from ontogeny.study.section import Section

# Pairs or questions of each file that are checked here; the job that indexes them checks the rest.
CHECKED_BEFORE_JOBS = 1_000
# Local copies of downloads up to this size are compared with their sha256 in every dry run.
HASHED_BEFORE_JOBS = 100_000_000
# Keys that hold the path of a file or folder.
PATHS = ("items", "pairs", "prompts", "responses", "weights", "templates", "counts_file")
PATHS += ("revisions", "path")
BRACES = "Snakemake can't use a path with { or }; rename it"


def check_inputs(study: Study) -> list[str]:
    """Check that results can be written, that text files are there, and that stimuli can be read.

    Every line of binomials and prompts is checked; of other stimuli only the first
    `CHECKED_BEFORE_JOBS` of each file, so that a dry run stays fast. What is still to be downloaded
    is checked by the jobs that read it. A download that somebody has put there by hand is checked
    here, once, and gets its record. Returns a line for each thing that is odd, though it may be
    meant; raises StudyError with one line for each problem.
    """
    odd: list[str] = []
    problems = [
        *_unwritable_results(study),
        *_download_problems(study),
        *_folder_problems(study),
        *_corpus_problems(study),
        *_braced_paths(study),
        *_probe_problems(study, odd),
        *_run_problems(study),
    ]
    if problems:
        raise StudyError(problems)
    return odd


def matching_files(patterns: list[str]) -> list[str]:
    """Files that match glob patterns of a study, each once, sorted by name.

    A pattern that is the name of a file stands for that file, and a download for its file, even if
    it is not there yet. Raises ValueError for one that
    matches nothing, or a name that Snakemake would read as a wildcard.
    """
    found: set[str] = set()
    for pattern in patterns:
        if pattern.startswith(DOWNLOAD):
            found.add(project_path(pattern))
            continue
        if Path(project_path(pattern)).is_file():
            matches = [pattern]
        else:
            matches = glob.glob(pattern, root_dir=PROJECT, recursive=True)  # noqa: PTH207
        matches = [project_path(os.path.normpath(path)) for path in matches]
        matches = [path for path in matches if Path(path).is_file()]
        if not matches:
            raise ValueError(f"no file matches {pattern!r} (looked in {PROJECT})")
        found.update(matches)
    if braced := sorted(path for path in found if "{" in path or "}" in path):
        raise ValueError(f"{braced[0]}: {BRACES}")
    return sorted(found)


def checkpoint_steps(run: Run | HubRun | ScoresRun) -> list[int]:
    """Sorted steps of a run's checkpoints.

    Raises ValueError that names the file or pattern where a published run's can't be known.
    """
    if isinstance(run, HubRun):
        revisions = read_revisions(Path(project_path(run.revisions)))
        return [revision.step for revision in sampled(revisions, run.sample)]
    if isinstance(run, ScoresRun):
        return list(by_step(matching_files(run.files), run.steps_from))
    return run.checkpoint_steps()


def _unwritable_results(study: Study) -> Iterator[str]:
    folder = Path("results", study.study)
    existing = folder
    while not os.path.lexists(existing):
        existing = existing.parent
    if existing.is_symlink() and not existing.exists():
        yield (
            f"study: results go to {folder}, but {existing} is a link to {existing.readlink()}, "
            "which is not there; make that folder, or remove the link"
        )
    elif not existing.is_dir():
        yield f"study: results go to {folder}, but {existing} is a file; move it away"
    elif not os.access(existing, os.W_OK | os.X_OK):
        yield f"study: results go to {folder}, but {existing.resolve()} can't be written"


def _folder_problems(study: Study) -> Iterator[str]:
    """Folders that are not there, named where a name on the Hub may stand: what begins like a path
    of the project must be one, or a stranger's repository of that name would be read."""
    named = {
        f"corpora.{n}.dataset": c.dataset for n, c in study.corpora.items() if c.source == "hub"
    }
    for name, tokenizer in study.tokenizers.items():
        if tokenizer.type == "pretrained":
            named[f"tokenizers.{name}.path"] = tokenizer.path
    for key, path in named.items():
        if Path(project_path(path)).is_dir():
            continue
        first = path.split("/")[0]
        if first in ("", ".", "..", "~") or Path(project_path(first)).is_dir():
            yield f"{key}: there is no folder {project_path(path)}"


def to_come(path: str | None) -> bool:
    """Whether a path of a study is of a download that is not there yet."""
    return (path or "").startswith(DOWNLOAD) and not Path(project_path(path)).exists()


def _download_problems(study: Study) -> Iterator[str]:
    for name, download in study.downloads.items():
        if download.path is not None:
            yield from _copy_problems(name, download, Path(project_path(download.path)))
            continue
        file = Path(download_path(name, download.saved_as))
        try:
            if problem := conflict(download, file):
                yield f"downloads.{name}: {problem}"
            elif file.exists() and not record_of(file).exists():  # put there by hand
                check_there(download, file)
        except ValueError as error:
            yield f"downloads.{name}: {error}"


def _copy_problems(name: str, download: Download, path: Path) -> Iterator[str]:
    place = f"downloads.{name}.path: {path}"
    if str(download.path).endswith("/"):
        if not path.is_dir():
            yield f"{place}: there is no such folder"
        return
    if not path.is_file():
        yield f"{place}: there is no such file"
        return
    size = path.stat().st_size
    if download.bytes not in (size, None):
        yield f"{place} has {size:,} bytes, but `bytes` is {download.bytes:,}"
    elif download.sha256 is not None and size <= HASHED_BEFORE_JOBS:
        found = sha256(path)
        if found != download.sha256:
            yield f"{place} has the sha256 {found}, but `sha256` is {download.sha256}"


def _corpus_problems(study: Study) -> Iterator[str]:
    for name, corpus in study.corpora.items():
        read = [getattr(corpus, key, None) for key in ("items", "templates", "counts_file")]
        if isinstance(corpus, InterventionCorpus) and not any(map(to_come, read)):
            try:
                check_files(corpus)
            except ValueError as error:
                yield f"corpora.{name}: {error}"
        if isinstance(corpus, FactsCorpus) and not any(map(to_come, corpus.files)):
            try:
                facts_text(matching_files(corpus.files), corpus.withheld)
            except ValueError as error:
                yield f"corpora.{name}: {error}"
        if not isinstance(corpus, FilesCorpus):
            continue
        for key in ("files", "validation_files"):
            try:
                for path in matching_files(getattr(corpus, key)):
                    if Path(path).exists() and Path(path).stat().st_size == 0:
                        yield f"corpora.{name}.{key}: {path} is empty"
            except ValueError as error:
                yield f"corpora.{name}.{key}: {error}"


def _braced_paths(study: Study) -> Iterator[str]:
    """Paths of single files that Snakemake would read as wildcards; of `files`, `matching_files`
    tells."""
    for place, section in _sections(study):
        for key in PATHS:
            path = getattr(section, key, None)
            if isinstance(path, str) and ("{" in path or "}" in path):
                yield f"{place}.{key}: {path}: {BRACES}"


def _sections(study: Study) -> Iterator[tuple[str, Section]]:
    """Sections of a study that name files, and where they stand."""
    for kind in ("downloads", "corpora", "tokenizers", "probes", "runs"):
        for name, section in getattr(study, kind).items():
            yield f"{kind}.{name}", section
            for reference, nested in getattr(section, "references", {}).items():
                yield f"{kind}.{name}.references.{reference}", nested


def _probe_problems(study: Study, odd: list[str]) -> Iterator[str]:
    """What is wrong with stimuli; what is only odd goes to `odd`."""
    for name, probe in study.probes.items():
        if isinstance(probe, BinomialsProbe):
            yield from _binomials_problems(name, probe, odd)
        try:
            pairs = probe.pairs if isinstance(probe, MinimalPairsProbe) else None
            if pairs is not None and not to_come(pairs):
                read_minimal_pairs(Path(project_path(pairs)), CHECKED_BEFORE_JOBS)
            if isinstance(probe, CompletionsProbe) and not to_come(probe.items):
                read_questions(Path(project_path(probe.items)), CHECKED_BEFORE_JOBS)
        except ValueError as error:
            yield f"probes.{name}: {error}"


def _run_problems(study: Study) -> Iterator[str]:
    for name, run in study.runs.items():
        try:
            checkpoint_steps(run)
            if isinstance(run, ScoresRun):
                published_files(matching_files(run.files), run.tokens_per_step, run.steps_from)
        except ValueError as error:
            yield f"runs.{name}: {error}"


def _binomials_problems(name: str, probe: BinomialsProbe, odd: list[str]) -> Iterator[str]:
    try:
        if not to_come(probe.prompts):
            read_prompts(Path(project_path(probe.prompts)))
    except ValueError as error:
        yield f"probes.{name}.prompts: {error}"
    items = None
    try:
        if not any(to_come(reference.weights) for reference in probe.references.values()):
            weights = read_all_weights(probe.references)
            if probe.items is not None and not to_come(probe.items):
                items = read_binomials(Path(project_path(probe.items)), probe, weights)
                odd.extend(f"probes.{name}: {line}" for line in remarks(items, probe))
            elif probe.items_from is not None:
                columns = item_columns(PROJECT / "data" / "toy")
                missing = [name for name in needed_columns(probe, weights) if name not in columns]
                if missing:
                    raise ValueError(
                        f"the items of {probe.items_from} have no column "
                        f"{', '.join(map(repr, missing))}; they have: {', '.join(columns)}"
                    )
    except ValueError as error:
        yield f"probes.{name}: {error}"
    if probe.responses is not None and not to_come(probe.responses):
        path = Path(project_path(probe.responses))
        try:
            responses = read_responses(path, probe.word1, probe.word2)
            if items is not None:  # those of a toy corpus are made by a job, as downloads are
                choices_by_item(responses, items, path)
        except ValueError as error:
            yield f"probes.{name}.responses: {error}"
