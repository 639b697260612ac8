"""How much room the files of a study take, and which of them nothing needs any more."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ontogeny.inputs import checkpoint_steps
from ontogeny.paths import Paths
from ontogeny.study import Study
from ontogeny.study.runs import ScoresRun
from ontogeny.study.schedule import Segment, segments

# Files as `files.replacing` names them; folders of corpora at work, and of models being fetched.
TEMPORARY = re.compile(r"\..*\.\d+\.tmp|\.documents-.*|\.shuffled-.*|\.\d+\.downloads")


@dataclass(frozen=True)
class Files:
    """Files that are there."""

    paths: tuple[Path, ...]

    @classmethod
    def of(cls, paths: Iterable[Path]) -> "Files":
        """Those of the paths that are files."""
        return cls(tuple(path for path in paths if path.is_file()))

    def __len__(self) -> int:
        return len(self.paths)

    def bytes(self) -> int:
        """Their size; those that are gone meanwhile count as empty."""
        return sum(path.stat().st_size for path in self.paths if path.exists())


@dataclass(frozen=True)
class RunFiles:
    """The files of one run; `scored`: weights that no score file is still to be made from."""

    run: str
    weights: Files
    scored: Files
    states: Files
    scores: Files


def run_files(study: Study, root: Path) -> list[RunFiles]:
    """One for each run of the study, whose results are below `root`."""
    return [_files_of(study, name, root) for name in study.runs]


def _files_of(study: Study, run: str, root: Path) -> RunFiles:
    paths = Paths(str(root), study.score_files)
    section = study.runs[run]
    steps = checkpoint_steps(section)
    weights, scored = [], []
    pieces = [] if isinstance(section, ScoresRun) else segments(steps, section.per_segment)
    newest = _newest_source(section.tokenizer, paths) if pieces else 0
    for segment in pieces:
        of_segment = [
            Path(paths.checkpoint(run, step, "model.safetensors")) for step in segment.checkpoints
        ]
        weights += of_segment
        if _is_scored(study, run, segment, paths, newest):
            scored += of_segment
    scores = _score_files(study, run, steps, paths)
    states = Path(paths.state(run, 0)).parent.glob("*.safetensors")
    return RunFiles(run, *(Files.of(each) for each in (weights, scored, states, scores)))


def _score_files(study: Study, run: str, steps: Iterable[int], paths: Paths) -> list[Path]:
    probes = study.scored_on(run)
    return [Path(paths.scores(probe, run, step)) for probe in probes for step in steps]


def _newest_source(tokenizer: str, paths: Paths) -> int:
    """When the newest of a tokenizer's files, and of those made with it, was written."""
    made = (paths.tokenizer(tokenizer, "*"), paths.tokens("*", tokenizer, "*"))
    patterns = (*made, paths.index("*", tokenizer))
    relative = (str(Path(pattern).relative_to(paths.root)) for pattern in patterns)
    files = (file for pattern in relative for file in Path(paths.root).glob(pattern))
    return max(map(_time, files), default=0)


def _is_scored(study: Study, run: str, segment: Segment, paths: Paths, newest: int) -> bool:
    """Whether scoring has nothing to do for a segment, for which it would want all its weights: the
    score files, their record and the segment's manifest are there (a segment that is in training
    has none), and neither the manifest nor `newest`, the newest source, is newer than them. What
    changed in the study alone is not seen."""
    scores = _score_files(study, run, segment.checkpoints, paths)
    if not scores:
        return False
    scores.append(Path(paths.segment(run, segment.number, "scores.json")))
    manifest = Path(paths.segment(run, segment.number, "manifest.json"))
    if not all(file.is_file() for file in (*scores, manifest)):
        return False
    return min(map(_time, scores)) >= max(newest, _time(manifest))


def _time(file: Path) -> int:
    return file.stat().st_mtime_ns


def leftovers(root: Path) -> Files:
    """What jobs that were killed have left half-written; no reader takes it for a file."""
    there = root.rglob("*")
    return Files.of(
        path for path in there if any(map(TEMPORARY.fullmatch, path.relative_to(root).parts))
    )


def all_files(root: Path) -> Files:
    """Everything below a folder."""
    return Files.of(root.rglob("*"))


def unknown_runs(study: Study, root: Path) -> dict[str, Files]:
    """Results of runs that the study does not name (any more), by run."""
    found: dict[str, list[Path]] = {}
    folders = ("runs/*", "scores/*/*", "tables/*", "figures/*", "bigrams/*/*", "published/*")
    for folder in (path for pattern in folders for path in sorted(root.glob(pattern))):
        if folder.is_dir() and folder.name not in study.runs:
            found.setdefault(folder.name, []).extend(folder.rglob("*"))
    for file in sorted([*root.glob("exposures/*/*.csv"), *root.glob("published/*.json")]):
        if file.stem not in study.runs:
            found.setdefault(file.stem, []).append(file)
    return {name: Files.of(paths) for name, paths in found.items()}


def unknown_scores(study: Study, root: Path) -> Files:
    """Score files of the study's runs that are of a probe or a step that it does not name (any
    more), or whose names end as its `score_files` do not."""
    paths = Paths(str(root), study.score_files)
    known = {
        file
        for run, section in study.runs.items()
        for file in _score_files(study, run, checkpoint_steps(section), paths)
    }
    there = (file for run in study.runs for file in sorted(root.glob(f"scores/*/{run}/[!.]*")))
    return Files.of(file for file in there if file not in known)
