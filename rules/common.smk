# What several stages use: wildcards, specs as JSON, and which files belong to which name.

import json
import re
from functools import cache
from shlex import quote
from types import SimpleNamespace


def any_of(names):
    """A pattern that matches these names and no others."""
    return "|".join(re.escape(name) for name in names) or "no name"


wildcard_constraints:
    corpus=any_of(study.corpora),
    tokenizer=any_of(study.tokenizers),
    architecture=any_of(study.architectures),
    probe=any_of(study.probes),
    run=any_of(study.runs),


# What jobs of a stage may use; see `resources` in docs/config.md.
CORPUS = study.resources.corpus
TRAIN = study.resources.train
SCORE = study.resources.score
ANALYSIS = study.resources.analysis

SCRIPTS = project_path("scripts")
# For scripts that read or write score files: the study's folder, and how these files end.
SCORED_FOLDER = (
    P.root if study.score_files == "csv" else f"{P.root} --score-files {study.score_files}"
)
ENVIRONMENT = "../envs/ontogeny.yaml"

TOY_FILES = [
    "adjectives.csv",
    "names.csv",
    "nouns.csv",
    "places.csv",
    "planted.yaml",
    "stories.txt",
    "verbs.csv",
]


# Files that are downloaded, below downloads/, and the download that each is of.
DOWNLOADED = {
    f"{name}/{download.saved_as}": name
    for name, download in study.downloads.items()
    if download.path is None
}


def probes_of(kind):
    """The study's probes of one type, by name."""
    return {name: probe for name, probe in study.probes.items() if probe.type == kind}


BINOMIALS = probes_of("binomials")
MINIMAL_PAIRS = probes_of("minimal_pairs")
COMPLETIONS = probes_of("completions")
PERPLEXITY = probes_of("perplexity")
INDEXED = BINOMIALS | MINIMAL_PAIRS | COMPLETIONS  # scored by string, through an index


def runs_from(source):
    """The study's runs of one source, by name."""
    return {name: run for name, run in study.runs.items() if run.source == source}


DERIVED = {
    name: corpus for name, corpus in study.corpora.items() if isinstance(corpus, DerivedCorpus)
}
TRAINED = runs_from("train")
FETCHED = runs_from("hub")
RELEASED = runs_from("scores")  # no weights: only their scores are known
STEPS = {name: checkpoint_steps(run) for name, run in study.runs.items()}


def segments_of(name):
    """The segments of a run that has weights."""
    return segments(STEPS[name], study.runs[name].per_segment)


# What has to do with single checkpoints has rules of its own for each run, which name their files
# in full and each other's files as `rules.NAME.output`. Snakemake looks for the rule of any other
# file among all outputs that begin alike, up to a wildcard, and there are thousands.
def segment_rules(stage, names):
    """Name, run and segment of each rule of a stage that works on segments."""
    for name in names:
        for segment in segments_of(name):
            yield f"{stage}_{name}_{segment.number}", name, segment


def made(stage, run, segment):
    """What such a rule makes. As an input it must have no name."""
    return getattr(rules, f"{stage}_{run}_{segment.number}").output


def checkpoints_of(run, segment):
    """The files that a segment's checkpoints are read from. Those that are trained here have a
    config.json beside them, which is not declared: thousands of files that are all alike."""
    if run in FETCHED:
        return made("fetch", run, segment).checkpoints
    return made("train", run, segment).weights


def of(run, function):
    """An input or params function of the wildcard `run`, for a rule that is of one run."""
    return lambda wildcards: function(SimpleNamespace(run=run))


def spec(section):
    """A section of the study as JSON, for a script. Keys that have their default value are left
    out, so that a key that a later version adds remakes nothing."""
    return section.model_dump_json(exclude_defaults=True)


def released_files(wildcards):
    return [outside(file) for file in matching_files(RELEASED[wildcards.run].files)]


def view(function):
    """A params function of the wildcard `run`: a view of that run, as JSON."""
    return lambda wildcards: views.as_json(function(study.runs[wildcards.run]))


def trained_view(run):
    """All that a run's weights depend on, but its text."""
    return views.trained(study.runs[run], study.architectures[study.runs[run].architecture])


def trained_as(run):
    """The option that names what a run's weights are made from, for those who read its scores."""
    return f"--trained-as {views.name_of(trained_view(run))}" if run in TRAINED else ""


def tokens_of(file):
    """Input function: a token file of a run's corpus, under the run's tokenizer."""
    return lambda wildcards: P.tokens(
        study.runs[wildcards.run].corpus, study.runs[wildcards.run].tokenizer, file
    )


def tokenizer_of(wildcards):
    return P.tokenizer(study.runs[wildcards.run].tokenizer, "tokenizer.json")


def longest_block(wildcards):
    """The longest training sequence of an architecture."""
    return max(
        run.block_size for run in TRAINED.values() if run.architecture == wildcards.architecture
    )


def as_it_is(value):
    """A params function of a text (or of a list) in which `{x}` is no wildcard."""
    return lambda wildcards: value


def outside(path):
    """A file that is not made here, as an input. Its time does not count: whether it is still what
    was read, its content tells (rules/stale.smk). A download's time does, since a job makes it."""
    return path if path.startswith("downloads/") else ancient(path)


def of_study(path):
    """A file that a study names, as an input."""
    return outside(project_path(path))


def source_files(key):
    """Input function: the files of a corpus that is read from files."""

    def files(wildcards):
        found = matching_files(getattr(study.corpora[wildcards.corpus], key, []))
        return [outside(file) for file in found]

    return files


def folder_of(path):
    """The files of a folder that may stand where a name on the Hub may; none for such a name."""
    folder = Path(project_path(path))
    return [outside(file) for file in (str(folder), *files_below(folder)) if folder.is_dir()]


def dataset_files(wildcards):
    """The files of a dataset that is a folder here."""
    corpus = study.corpora[wildcards.corpus]
    return folder_of(corpus.dataset) if corpus.source == "hub" else []


def tokenizer_files(wildcards):
    """The files of a tokenizer that is a folder here."""
    tokenizer = study.tokenizers[wildcards.tokenizer]
    if tokenizer.type != "pretrained":
        return []
    folder = Path(project_path(tokenizer.path))
    return [outside(str(folder / name)) for name in TOKENIZER_FILES if (folder / name).is_file()]


def archive_of(wildcards):
    """The archive that a member is taken from: a download, or the copy in its place."""
    name = wildcards.archive.split("/")[0]
    return of_study(study.downloads[name].path or f"{DOWNLOAD}{wildcards.archive}")


def toy_files(wildcards):
    if study.corpora[wildcards.corpus].source != "toy":
        return []
    return [of_study(f"data/toy/{file}") for file in TOY_FILES]


def corpora_read(wildcards):
    """The files of the corpora that one is made from."""
    return [
        P.corpus(source, file)
        for source in DERIVED[wildcards.corpus].made_from()
        for file in ("train.parquet", "validation.parquet")
    ]


def source_arguments(wildcards):
    """For derive.py: each corpus that one is made from, with its files."""
    return [
        f"--source {name} {P.corpus(name, 'train.parquet')} {P.corpus(name, 'validation.parquet')}"
        for name in DERIVED[wildcards.corpus].made_from()
    ]


def items_inserted_or_removed(wildcards):
    """The items of a corpus that is an intervention."""
    corpus = DERIVED[wildcards.corpus]
    if not isinstance(corpus, InterventionCorpus):
        return []
    made = corpus.items_from and P.corpus(corpus.items_from, "items.csv")
    return made or of_study(corpus.items)


def insertion_files(wildcards):
    """Templates and counts of a corpus with insertions."""
    corpus = DERIVED[wildcards.corpus]
    files = [getattr(corpus, key, None) for key in ("templates", "counts_file")]
    return [of_study(file) for file in files if file is not None]


def training_documents(wildcards):
    """What a tokenizer is trained on: nothing for one that exists already."""
    corpus = getattr(study.tokenizers[wildcards.tokenizer], "corpus", None)
    return P.corpus(corpus, "train.parquet") if corpus else []


def stimuli_of(probe):
    """The file (or folder) of a probe's stimuli."""
    if probe.type == "binomials":
        corpus, path, made = probe.items_from, probe.items, "items.csv"
    elif probe.type == "minimal_pairs":
        corpus, path, made = probe.pairs_from, probe.pairs, "pairs.csv"
    else:
        corpus, path, made = None, probe.items, None
    return P.corpus(corpus, made) if corpus else of_study(path)


def prompts_of(probe):
    """The file of a binomials probe's prompts."""
    return of_study(probe.prompts) if probe.type == "binomials" else []


def words_of(probe):
    """Options that say how the words of a binomials probe are read, where it isn't as usual."""
    given = probe.model_dump(include={"word1", "word2", "order"}, exclude_defaults=True)
    return " ".join(f"--{key} {quote(value)}" for key, value in given.items())


def weights_of(probe):
    """Files of constraint weights that a binomials probe refers to."""
    return [
        of_study(reference.weights)
        for reference in getattr(probe, "references", {}).values()
        if reference.weights is not None
    ]


def indexed_arguments(wildcards):
    """For score_segment.py: each probe that has an index, with its settings."""
    tokenizer = study.runs[wildcards.run].tokenizer
    return [
        f"--probe {name} {quote(views.as_json(views.scored(probe)))} {P.index(name, tokenizer)}"
        for name, probe in probes_for(wildcards.run, INDEXED).items()
    ]


def perplexity_corpora(run):
    """Corpus that each perplexity probe reads for a run that has weights."""
    return {
        name: probe.corpus or study.runs[run].corpus
        for name, probe in probes_for(run, PERPLEXITY).items()
    }


def reads_ngrams(run):
    """Whether a run's predictions are compared with the n-grams of its own training text."""
    return run in TRAINED and any(probe.ngrams for probe in probes_for(run, PERPLEXITY).values())


def perplexity_arguments(wildcards):
    """For score_segment.py: each perplexity probe with its settings and the folder of its tokens;
    the folder of the run's own tokens, where a probe reads it."""
    tokenizer = study.runs[wildcards.run].tokenizer
    own = []
    if reads_ngrams(wildcards.run):
        folder = tokens_of("")(wildcards).rstrip("/")
        own = [f"--training-tokens {folder}"]
    return own + [
        f"--perplexity {name} {quote(views.as_json(views.scored(PERPLEXITY[name])))} {corpus} "
        + P.tokens(corpus, tokenizer, "").rstrip("/")
        for name, corpus in perplexity_corpora(wildcards.run).items()
    ]


def held_out_tokens(wildcards):
    """Token files that a run's perplexity probes read: held-out text, and its own where asked."""
    tokenizer = study.runs[wildcards.run].tokenizer
    files = [
        P.tokens(corpus, tokenizer, file)
        for corpus in dict.fromkeys(perplexity_corpora(wildcards.run).values())
        for file in ("validation.bin", "validation.documents.npy", "meta.json")
    ]
    own = ("train.bin", "meta.json") if reads_ngrams(wildcards.run) else ()
    return list(dict.fromkeys(files + [tokens_of(file)(wildcards) for file in own]))


def indexes_of(wildcards):
    tokenizer = study.runs[wildcards.run].tokenizer
    return [P.index(probe, tokenizer) for probe in probes_for(wildcards.run, INDEXED)]


def positions_argument(wildcards):
    """For index.py: the fewest positions of the models that read this index, where stated."""
    positions = [
        study.architectures[run.architecture].positions()
        for run in TRAINED.values()
        if run.tokenizer == wildcards.tokenizer
    ]
    stated = [count for count in positions if count is not None]
    return f"--positions {min(stated)}" if stated else ""


def probes_for(run, probes):
    """Those of the probes that a run is scored on."""
    return {name: probe for name, probe in probes.items() if name in study.scored_on(run)}


def runs_with(probes):
    """The runs that are scored on one of these probes at least."""
    return [name for name in study.runs if probes_for(name, probes)]


def trained_with(probes):
    return [name for name in runs_with(probes) if name in TRAINED]


@cache
def list_of(run):
    """The list of a published run's checkpoints."""
    return read_revisions(Path(project_path(FETCHED[run].revisions)))


def fetched_view(run, steps):
    """What one job fetches: its lines of the list are all that it depends on, so another line that
    changes makes nothing again."""
    return views.fetched(FETCHED[run].model, (row for row in list_of(run) if row.step in steps))


def publish_spec(wildcards):
    """The sections of the study that a model card shows."""
    run = study.runs[wildcards.run]
    sources = {name: study.corpora[name] for name in sources_of(study.corpora, run.corpus)}
    files = [
        file
        for corpus in (study.corpora[run.corpus], *sources.values())
        for key in ("files", "validation_files")
        for file in getattr(corpus, key, [])
        if file.startswith(DOWNLOAD)
    ]
    names = dict.fromkeys(file.removeprefix(DOWNLOAD).split("/")[0] for file in files)

    def values(sections):
        return {name: json.loads(spec(section)) for name, section in sections.items()}

    sections = values(
        {
            "run": run,
            "architecture": study.architectures[run.architecture],
            "corpus": study.corpora[run.corpus],
            "tokenizer": study.tokenizers[run.tokenizer],
        }
    )
    sections["sources"] = values(sources)
    sections["downloads"] = values({name: study.downloads[name] for name in names})
    return json.dumps(sections)


def published_records(wildcards):
    if study.publish is None:
        raise WorkflowError(
            "the study has no `publish` section, so it is not known where to publish; add one, "
            "for example publish: {repo: 'owner/{study}-{run}'} (docs/hub.md)"
        )
    if not TRAINED:
        raise WorkflowError("the study trains no run of its own, so there is none to publish")
    return [P.published(run) for run in TRAINED]
