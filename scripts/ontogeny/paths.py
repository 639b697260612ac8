"""From names to files: every path below `results/<study>/` is made here and nowhere else.

Arguments may be Snakemake wildcards (`Paths(root).tokenizer("{tokenizer}")`), so that a rule and
the script that it calls agree on where a file is.
"""

from dataclasses import dataclass
from pathlib import Path

from ontogeny.origins import PROJECT
from ontogeny.study.downloads import DOWNLOAD
from ontogeny.study.schedule import checkpoint_name


def project_path(path: str) -> str:
    """A path of a study file as it is used: relative ones are relative to the project's folder.

    Stays relative where the project's folder is the working directory, so that results do not
    depend on where the project lies. A download is below the working directory, as results are.
    """
    if path.startswith(DOWNLOAD):
        return f"downloads/{path.removeprefix(DOWNLOAD)}"
    if Path(path).is_absolute() or Path.cwd() == PROJECT:
        return path
    return str(PROJECT / path)


def download_path(name: str, file: str) -> str:
    """A file that studies share: what was downloaded, the record of it (`FILE.json`), a member of
    an archive (`FILE.unpacked/MEMBER`)."""
    return project_path(f"{DOWNLOAD}{name}/{file}")


@dataclass(frozen=True)
class Paths:
    """Files of one study, below `root` (`results/<study>`); score files end in `scores_end`."""

    root: str
    scores_end: str = "csv"

    def about(self, file: str) -> str:
        """`README.md`, `study.yaml`, `environment.txt`."""
        return f"{self.root}/{file}"

    def corpus(self, corpus: str, file: str) -> str:
        """`train.parquet`, `validation.parquet`, `provenance.json`; the toy's `items.csv` and
        `pairs.csv`."""
        return f"{self.root}/corpora/{corpus}/{file}"

    def tokenizer(self, tokenizer: str, file: str) -> str:
        """`tokenizer.json` and the file that makes `AutoTokenizer` load it as it is."""
        return f"{self.root}/tokenizers/{tokenizer}/{file}"

    def tokens(self, corpus: str, tokenizer: str, file: str) -> str:
        """`train.bin`, `validation.bin`, their `.documents.npy`, `meta.json`."""
        return f"{self.root}/tokens/{corpus}/{tokenizer}/{file}"

    def index(self, probe: str, tokenizer: str) -> str:
        """Tokenised stimuli of a probe."""
        return f"{self.root}/index/{probe}/{tokenizer}.safetensors"

    def architecture(self, architecture: str, tokenizer: str) -> str:
        """Configuration and number of parameters, for a tokenizer's vocabulary."""
        return f"{self.root}/architectures/{architecture}/{tokenizer}.json"

    def checkpoint(self, run: str, step: int, file: str) -> str:
        """`model.safetensors`, `config.json`."""
        return f"{self.root}/runs/{run}/checkpoints/{checkpoint_name(step)}/{file}"

    def state(self, run: str, segment: int) -> str:
        """Training state at the end of a segment."""
        return f"{self.root}/runs/{run}/state/{segment:04d}.safetensors"

    def compiled(self) -> str:
        """What `torch.compile` has made of the study's models, for the segments to come."""
        return f"{self.root}/compiled"

    def segment(self, run: str, segment: int, file: str) -> str:
        """`manifest.json`, `losses.csv`, `scores.json` of one segment."""
        return f"{self.root}/runs/{run}/segments/{segment:04d}.{file}"

    def scores(self, probe: str, run: str, step: int) -> str:
        """Scores of one checkpoint on one probe."""
        return f"{self.root}/scores/{probe}/{run}/{checkpoint_name(step)}.{self.scores_end}"

    def occurrences(self, probe: str, corpus: str, tokenizer: str) -> str:
        """Where the items of a probe, and their words, stand in a corpus."""
        return f"{self.root}/occurrences/{probe}/{corpus}/{tokenizer}.parquet"

    def exposures(self, probe: str, run: str) -> str:
        """How often a run had seen each item by each of its checkpoints."""
        return f"{self.root}/exposures/{probe}/{run}.csv"

    def bigrams(self, probe: str, run: str, file: str) -> str:
        """What the bigrams that a run had seen by each of its checkpoints say of minimal pairs."""
        return f"{self.root}/bigrams/{probe}/{run}/{file}"

    def table(self, table: str) -> str:
        """A table across runs."""
        return f"{self.root}/tables/{table}.csv"

    def run_table(self, run: str, table: str) -> str:
        return f"{self.root}/tables/{run}/{table}.csv"

    def run_figure(self, run: str, figure: str, suffix: str) -> str:
        return f"{self.root}/figures/{run}/{figure}.{suffix}"

    def figure(self, figure: str, suffix: str) -> str:
        return f"{self.root}/figures/{figure}.{suffix}"

    def published(self, run: str) -> str:
        """What was uploaded where: repository, tags, commits and sha256s of one run."""
        return f"{self.root}/published/{run}.json"

    def published_file(self, run: str, file: str) -> str:
        """`README.md` (the model card), `manifest.json`: made for the repository of one run."""
        return f"{self.root}/published/{run}/{file}"

    def log(self, name: str) -> str:
        return f"{self.root}/logs/{name}.log"

    def benchmark(self, name: str) -> str:
        return f"{self.root}/benchmarks/{name}.tsv"
