# Which tables and figures a study has, and what they are made from.

# Runs whose preferences can be regressed: on what people prefer, or on exposure.
REGRESSED = [
    name
    for name in runs_with(BINOMIALS)
    if name in TRAINED
    or any(probe.prior in probe.references for probe in probes_for(name, BINOMIALS).values())
]
SEED_FAMILIES = {
    family: runs for family, runs in seed_families(TRAINED).items() if BINOMIALS or MINIMAL_PAIRS
}

# Corpora with insertions, where runs show what came of them.
INSERTED = [
    name
    for name, corpus in DERIVED.items()
    if isinstance(corpus, InsertCorpus) and trained_with(BINOMIALS)
]

# Runs whose completions are compared by size, corpus and seed: families, also of one, in the order
# of the study.
CAPACITY_FAMILIES = seed_families(
    {name: TRAINED[name] for name in trained_with(COMPLETIONS)}, alone=True
)
CAPACITY_FAMILIES = dict(
    sorted(CAPACITY_FAMILIES.items(), key=lambda family: list(TRAINED).index(family[1][0]))
)
CAPACITY_CORPORA = list(dict.fromkeys(TRAINED[run].corpus for run in trained_with(COMPLETIONS)))

# Tables of one run: name -> the runs that have it.
RUN_TABLES = {
    "losses": TRAINED,
    "completeness": RELEASED,
    "preferences": runs_with(BINOMIALS),
    "correlations": runs_with(BINOMIALS),
    "trajectories": runs_with(BINOMIALS),
    **dict.fromkeys(("regressions", "deviations", "constraints"), REGRESSED),
    **dict.fromkeys(("items", "learning", "thresholds"), trained_with(BINOMIALS)),
    "minimal_pairs": runs_with(MINIMAL_PAIRS),
    **dict.fromkeys(("states", "paradigms", "failing"), runs_with(MINIMAL_PAIRS)),
    **dict.fromkeys(("bigram_tests", "bigram_classes"), trained_with(MINIMAL_PAIRS)),
    "completions": runs_with(COMPLETIONS),
    "perplexity": runs_with(PERPLEXITY),
}
# Tables across runs.
STUDY_TABLES = [
    *(["comparisons"] if len(runs_with(BINOMIALS)) > 1 else []),
    *(["seeds", "seed_agreement"] if SEED_FAMILIES else []),
    *(["capacity", "capacity_summary"] if CAPACITY_FAMILIES else []),
    *(f"curves_{corpus}" for corpus in CAPACITY_CORPORA),
    *(["insertions"] if INSERTED else []),
]

# Figures of one run: name -> category in the report, tables, runs.
RUN_FIGURES = {
    "loss": ("Training", ["losses"], TRAINED),
    "perplexity": ("Training", ["perplexity"], runs_with(PERPLEXITY)),
    "correlation": ("Correlations", ["correlations"], runs_with(BINOMIALS)),
    "relative_frequency": ("Exposure", ["items"], trained_with(BINOMIALS)),
    "thresholds": ("Exposure", ["learning", "thresholds"], trained_with(BINOMIALS)),
    "coefficients": ("Regressions", ["regressions"], REGRESSED),
    "minimal_pairs": ("Minimal pairs", ["minimal_pairs"], runs_with(MINIMAL_PAIRS)),
    "paradigms": ("Minimal pairs", ["minimal_pairs"], runs_with(MINIMAL_PAIRS)),
    "entrenchment": ("Getting stuck", ["states", "paradigms"], runs_with(MINIMAL_PAIRS)),
    "bigrams": ("Getting stuck", ["bigram_classes", "bigram_tests"], trained_with(MINIMAL_PAIRS)),
    "completions": ("Completions", ["completions"], runs_with(COMPLETIONS)),
}
# Figures across runs: name -> category, files.
STUDY_FIGURES = {}
if BINOMIALS:
    STUDY_FIGURES["overview"] = (
        "Correlations",
        [P.run_table(run, "correlations") for run in sorted(runs_with(BINOMIALS))],
    )
if SEED_FAMILIES:
    STUDY_FIGURES["seeds"] = ("Across seeds", [P.table("seeds")])
# Figures that scripts/plot.py knows by another name.
DRAWN_AS = {}
if len(trained_with(COMPLETIONS)) > 1:
    STUDY_FIGURES["capacity"] = ("Completions", [P.table("capacity")])
    for corpus in CAPACITY_CORPORA:
        STUDY_FIGURES[f"capacity_{corpus}"] = ("Completions", [P.table(f"curves_{corpus}")])
        DRAWN_AS[f"capacity_{corpus}"] = "capacity_curves"
if INSERTED:
    STUDY_FIGURES["insertions"] = ("Exposure", [P.table("insertions")])
if any(TRAINED[name].corpus in INSERTED for name in TRAINED):
    STUDY_FIGURES["insertion_curves"] = ("Exposure", [P.table("insertions")])


def scores_of_run(run, probes):
    """The score files of a run on these probes, in the order of the steps."""
    return [
        SCORE_FILES[P.scores(probe, run, step)]
        for probe in probes_for(run, probes)
        for step in STEPS[run]
    ]


def missing_scores(wildcards):
    """Score files that are gone, of runs whose tables are there: below these Snakemake does not
    look."""
    return [
        path
        for run in study.runs
        if Path(P.run_table(run, "")).parent.exists()
        for path in scores_of_run(run, study.probes)
        if not Path(path).exists()
    ]


def weights_of_unscored_runs(wildcards):
    """Weights that no score file asks for."""
    return [
        P.checkpoint(run, step, "model.safetensors")
        for run in TRAINED
        if not study.scored_on(run) and study.keep_checkpoints == "all"
        for step in STEPS[run]
    ]


def segment_files(file):
    """Input function: a file of each of a run's segments."""
    return lambda wildcards: [
        P.segment(wildcards.run, segment.number, file) for segment in segments_of(wildcards.run)
    ]


def reported_scores_of(probes):
    """Input function: the score files of a run at those checkpoints whose pairs are looked into."""
    return lambda wildcards: [
        P.scores(probe, wildcards.run, step)
        for probe in probes_for(wildcards.run, probes)
        for step in reported_steps(STEPS[wildcards.run])
    ]


def last_scores_of(probes):
    """Input function: the score files of a run's last checkpoint on these probes."""
    return lambda wildcards: [
        P.scores(probe, wildcards.run, STEPS[wildcards.run][-1])
        for probe in probes_for(wildcards.run, probes)
    ]


def bigrams_of(wildcards):
    """What the bigrams that a run has read say of the minimal pairs that it is scored on."""
    return [
        P.bigrams(probe, wildcards.run, file)
        for probe in probes_for(wildcards.run, MINIMAL_PAIRS)
        for file in ("classes.csv", "pairs.csv")
    ]


def exposures_of(probes):
    """Input function: the exposures of a run that is trained here; of others they are not known."""
    return lambda wildcards: [
        P.exposures(probe, wildcards.run)
        for probe in probes_for(wildcards.run, probes)
        if wildcards.run in TRAINED
    ]


def stimuli_for(probes):
    """Input function: the stimuli of those of the probes that a run is scored on."""
    return lambda wildcards: [
        stimuli_of(probe) for probe in probes_for(wildcards.run, probes).values()
    ]


def weights_for(probes):
    """Input function: the files of constraint weights of those of the probes."""
    return lambda wildcards: [
        file for probe in probes_for(wildcards.run, probes).values() for file in weights_of(probe)
    ]


def responses_for(probes):
    """Input function: the files of people's choices of those of the probes."""
    return lambda wildcards: [
        of_study(probe.responses)
        for probe in probes_for(wildcards.run, probes).values()
        if probe.responses is not None
    ]


def probe_arguments(probes, settings=views.analysed):
    """For the scripts that make tables: each probe of a run with its settings and stimuli."""
    return lambda wildcards: [
        f"--probe {name} {quote(views.as_json(settings(probe)))} {quote(stimuli_of(probe))}"
        for name, probe in probes_for(wildcards.run, probes).items()
    ]


def capacity_settings(wildcards):
    """What runs with completions are told apart by, as JSON."""
    keys = ["architecture", "corpus", "tokenizer", "seed"]
    return json.dumps(
        {
            name: {key: getattr(TRAINED[name], key) for key in keys}
            | {"weight_decay": TRAINED[name].optimizer.weight_decay}
            for name in trained_with(COMPLETIONS)
        }
    )


def tables_of(wildcards):
    return [
        P.run_table(wildcards.run, table)
        for table, runs in RUN_TABLES.items()
        if wildcards.run in runs
    ]
