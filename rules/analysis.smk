# Analysis: from score files, exposures and loss curves to one table per run and question.


for run in runs_with(BINOMIALS):

    rule:
        name:
            f"preferences_{run}"
        input:
            scores_of_run(run, BINOMIALS),
            stimuli=of(run, stimuli_for(BINOMIALS)),
        output:
            P.run_table(run, "preferences"),
        log:
            P.log(f"preferences/{run}"),
        benchmark:
            P.benchmark(f"preferences/{run}")
        conda:
            ENVIRONMENT
        threads: ANALYSIS.threads
        resources:
            mem_mb=ANALYSIS.mem_mb,
            runtime=ANALYSIS.runtime,
        params:
            name=run,
            script=f"{SCRIPTS}/preferences.py",
            run=of(run, run_spec),
            probes=of(run, probe_arguments(BINOMIALS, scoring_spec)),
            folder=lambda wildcards: P.root,
        message:
            f"Preferences of {run}, by item"
        shell:
            "python {params.script:q} --study-folder {params.folder} --name {params.name}"
            " --run {params.run:q} {params.probes} --output {output} 2>&1 | tee {log}"


rule correlations:
    input:
        preferences=P.run_table("{run}", "preferences"),
        exposures=exposures_of(BINOMIALS),
        stimuli=stimuli_for(BINOMIALS),
        weights=weights_for(BINOMIALS),
        responses=responses_for(BINOMIALS),
    output:
        P.run_table("{run}", "correlations"),
    log:
        P.log("correlations/{run}"),
    benchmark:
        P.benchmark("correlations/{run}")
    conda:
        ENVIRONMENT
    resources:
        mem_mb=ANALYSIS.mem_mb,
        runtime=ANALYSIS.runtime,
    params:
        script=f"{SCRIPTS}/correlations.py",
        run=run_spec,
        probes=probe_arguments(BINOMIALS),
        folder=lambda wildcards: P.root,
    message:
        "Correlations of {wildcards.run}"
    shell:
        "python {params.script:q} --study-folder {params.folder} --name {wildcards.run}"
        " --run {params.run:q} {params.probes} --output {output} 2>&1 | tee {log}"


rule trajectories:
    input:
        preferences=P.run_table("{run}", "preferences"),
        exposures=exposures_of(BINOMIALS),
        stimuli=stimuli_for(BINOMIALS),
        weights=weights_for(BINOMIALS),
        responses=responses_for(BINOMIALS),
    output:
        P.run_table("{run}", "trajectories"),
    log:
        P.log("trajectories/{run}"),
    benchmark:
        P.benchmark("trajectories/{run}")
    conda:
        ENVIRONMENT
    threads: ANALYSIS.threads
    resources:
        mem_mb=ANALYSIS.mem_mb,
        runtime=ANALYSIS.runtime,
    params:
        script=f"{SCRIPTS}/trajectories.py",
        run=run_spec,
        probes=probe_arguments(BINOMIALS),
        folder=lambda wildcards: P.root,
    message:
        "Peak, end and fall of each trajectory of {wildcards.run}"
    shell:
        "python {params.script:q} --study-folder {params.folder} --name {wildcards.run}"
        " --run {params.run:q} {params.probes} --output {output} 2>&1 | tee {log}"


rule regressions:
    input:
        preferences=P.run_table("{run}", "preferences"),
        last_scores=last_scores_of(BINOMIALS),
        exposures=exposures_of(BINOMIALS),
        stimuli=stimuli_for(BINOMIALS),
        weights=weights_for(BINOMIALS),
        responses=responses_for(BINOMIALS),
    output:
        regressions=P.run_table("{run}", "regressions"),
        deviations=P.run_table("{run}", "deviations"),
        constraints=P.run_table("{run}", "constraints"),
    log:
        P.log("regressions/{run}"),
    benchmark:
        P.benchmark("regressions/{run}")
    conda:
        ENVIRONMENT
    resources:
        mem_mb=ANALYSIS.mem_mb,
        runtime=ANALYSIS.runtime,
    params:
        script=f"{SCRIPTS}/regressions.py",
        run=run_spec,
        probes=probe_arguments(BINOMIALS),
        folder=lambda wildcards: P.root,
    message:
        "Regressions of the preferences of {wildcards.run}"
    shell:
        "python {params.script:q} --study-folder {params.folder} --name {wildcards.run}"
        " --run {params.run:q} {params.probes} --output {output.regressions}"
        " --deviations {output.deviations} --constraints {output.constraints} 2>&1 | tee {log}"


rule learning:
    input:
        preferences=P.run_table("{run}", "preferences"),
        exposures=exposures_of(BINOMIALS),
        stimuli=stimuli_for(BINOMIALS),
        weights=weights_for(BINOMIALS),
    output:
        by_item=P.run_table("{run}", "items"),
        learning=P.run_table("{run}", "learning"),
        thresholds=P.run_table("{run}", "thresholds"),
    log:
        P.log("learning/{run}"),
    benchmark:
        P.benchmark("learning/{run}")
    wildcard_constraints:
        run=any_of(TRAINED),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=ANALYSIS.mem_mb,
        runtime=ANALYSIS.runtime,
    params:
        script=f"{SCRIPTS}/learning.py",
        run=run_spec,
        probes=probe_arguments(BINOMIALS),
        folder=lambda wildcards: P.root,
    message:
        "How many exposures the items of {wildcards.run} needed"
    shell:
        "python {params.script:q} --study-folder {params.folder} --name {wildcards.run}"
        " --run {params.run:q} {params.probes} --output {output.by_item}"
        " --learning {output.learning} --thresholds {output.thresholds} 2>&1 | tee {log}"


for run in runs_with(MINIMAL_PAIRS):

    rule:
        name:
            f"minimal_pairs_{run}"
        input:
            scores_of_run(run, MINIMAL_PAIRS),
            stimuli=of(run, stimuli_for(MINIMAL_PAIRS)),
        output:
            P.run_table(run, "minimal_pairs"),
        log:
            P.log(f"minimal_pairs/{run}"),
        benchmark:
            P.benchmark(f"minimal_pairs/{run}")
        conda:
            ENVIRONMENT
        threads: ANALYSIS.threads
        resources:
            mem_mb=ANALYSIS.mem_mb,
            runtime=ANALYSIS.runtime,
        params:
            name=run,
            script=f"{SCRIPTS}/minimal_pairs.py",
            run=of(run, run_spec),
            probes=of(run, probe_arguments(MINIMAL_PAIRS)),
            folder=lambda wildcards: P.root,
        message:
            f"Minimal pairs of {run}"
        shell:
            "python {params.script:q} --study-folder {params.folder} --name {params.name}"
            " --run {params.run:q} {params.probes} --output {output} 2>&1 | tee {log}"


rule stuck:
    input:
        P.run_table("{run}", "minimal_pairs"),
    output:
        states=P.run_table("{run}", "states"),
        paradigms=P.run_table("{run}", "paradigms"),
        failing=P.run_table("{run}", "failing"),
    log:
        P.log("stuck/{run}"),
    benchmark:
        P.benchmark("stuck/{run}")
    conda:
        ENVIRONMENT
    params:
        script=f"{SCRIPTS}/stuck.py",
    message:
        "Where {wildcards.run} gets stuck"
    shell:
        "python {params.script:q} --table {input} --states {output.states}"
        " --paradigms {output.paradigms} --failing {output.failing} 2>&1 | tee {log}"


rule bigram_hypothesis:
    input:
        paradigms=P.run_table("{run}", "paradigms"),
        minimal_pairs=P.run_table("{run}", "minimal_pairs"),
        scores=reported_scores_of(MINIMAL_PAIRS),
        bigrams=bigrams_of,
    output:
        tests=P.run_table("{run}", "bigram_tests"),
        classes=P.run_table("{run}", "bigram_classes"),
    log:
        P.log("bigram_hypothesis/{run}"),
    benchmark:
        P.benchmark("bigram_hypothesis/{run}")
    wildcard_constraints:
        run=any_of(TRAINED),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=ANALYSIS.mem_mb,
        runtime=ANALYSIS.runtime,
    params:
        script=f"{SCRIPTS}/bigram_hypothesis.py",
        probes=list(MINIMAL_PAIRS),
        folder=lambda wildcards: P.root,
    message:
        "Do bigrams predict the errors of {wildcards.run}?"
    shell:
        "python {params.script:q} --study-folder {params.folder} --name {wildcards.run}"
        " --probes {params.probes} --tests {output.tests} --classes {output.classes}"
        " 2>&1 | tee {log}"


for run in runs_with(COMPLETIONS):

    rule:
        name:
            f"completions_{run}"
        input:
            scores_of_run(run, COMPLETIONS),
            stimuli=of(run, stimuli_for(COMPLETIONS)),
        output:
            P.run_table(run, "completions"),
        log:
            P.log(f"completions/{run}"),
        benchmark:
            P.benchmark(f"completions/{run}")
        conda:
            ENVIRONMENT
        threads: ANALYSIS.threads
        resources:
            mem_mb=ANALYSIS.mem_mb,
            runtime=ANALYSIS.runtime,
        params:
            name=run,
            script=f"{SCRIPTS}/completions.py",
            run=of(run, run_spec),
            probes=of(run, probe_arguments(COMPLETIONS)),
            folder=lambda wildcards: P.root,
        message:
            f"Completions of {run}"
        shell:
            "python {params.script:q} --study-folder {params.folder} --name {params.name}"
            " --run {params.run:q} {params.probes} --output {output} 2>&1 | tee {log}"


rule losses:
    input:
        lambda wildcards: [
            P.segment(wildcards.run, segment.number, "losses.csv")
            for segment in segments_of(wildcards.run)
        ],
    output:
        P.run_table("{run}", "losses"),
    log:
        P.log("losses/{run}"),
    benchmark:
        P.benchmark("losses/{run}")
    conda:
        ENVIRONMENT
    params:
        script=f"{SCRIPTS}/losses.py",
    message:
        "Loss curve of {wildcards.run}"
    shell:
        "python {params.script:q} --segments {input} --output {output} 2>&1 | tee {log}"


for run in runs_with(PERPLEXITY):

    rule:
        name:
            f"perplexity_{run}"
        input:
            scores_of_run(run, PERPLEXITY),
        output:
            P.run_table(run, "perplexity"),
        log:
            P.log(f"perplexity/{run}"),
        benchmark:
            P.benchmark(f"perplexity/{run}")
        conda:
            ENVIRONMENT
        params:
            name=run,
            script=f"{SCRIPTS}/perplexity.py",
            run=of(run, run_spec),
            probes=of(run, lambda wildcards: list(probes_for(wildcards.run, PERPLEXITY))),
            folder=lambda wildcards: P.root,
        message:
            f"Perplexity of {run}"
        shell:
            "python {params.script:q} --study-folder {params.folder} --name {params.name}"
            " --run {params.run:q} --probes {params.probes} --output {output} 2>&1 | tee {log}"


rule comparisons:
    input:
        preferences=expand(P.run_table("{run}", "preferences"), run=runs_with(BINOMIALS)),
        stimuli=[stimuli_of(probe) for probe in BINOMIALS.values()],
        weights=[file for probe in BINOMIALS.values() for file in weights_of(probe)],
        responses=[
            project_path(probe.responses)
            for probe in BINOMIALS.values()
            if probe.responses is not None
        ],
    output:
        P.table("comparisons"),
    log:
        P.log("comparisons"),
    benchmark:
        P.benchmark("comparisons")
    conda:
        ENVIRONMENT
    threads: ANALYSIS.threads
    resources:
        mem_mb=ANALYSIS.mem_mb,
        runtime=ANALYSIS.runtime,
    params:
        script=f"{SCRIPTS}/comparisons.py",
        runs=sorted(runs_with(BINOMIALS)),
        probes=[
            f"--probe {name} {quote(spec(probe))} {quote(stimuli_of(probe))}"
            for name, probe in BINOMIALS.items()
        ],
        folder=lambda wildcards: P.root,
    message:
        "Comparison of all runs, item by item"
    shell:
        "python {params.script:q} --study-folder {params.folder} --runs {params.runs}"
        " {params.probes} --output {output} 2>&1 | tee {log}"


rule seeds:
    input:
        [
            P.run_table(run, table)
            for runs in SEED_FAMILIES.values()
            for run in runs
            for table in ("preferences", "correlations")
            if run in runs_with(BINOMIALS)
        ],
        [
            P.run_table(run, "minimal_pairs")
            for runs in SEED_FAMILIES.values()
            for run in runs
            if run in runs_with(MINIMAL_PAIRS)
        ],
    output:
        seeds=P.table("seeds"),
        agreement=P.table("seed_agreement"),
    log:
        P.log("seeds"),
    benchmark:
        P.benchmark("seeds")
    conda:
        ENVIRONMENT
    resources:
        mem_mb=ANALYSIS.mem_mb,
        runtime=ANALYSIS.runtime,
    params:
        script=f"{SCRIPTS}/seeds.py",
        families=[f"--family {name} {' '.join(runs)}" for name, runs in SEED_FAMILIES.items()],
        folder=lambda wildcards: P.root,
    message:
        "Mean and spread over seeds"
    shell:
        "python {params.script:q} --study-folder {params.folder} {params.families}"
        " --seeds {output.seeds} --agreement {output.agreement} 2>&1 | tee {log}"


rule insertions:
    input:
        preferences=expand(P.run_table("{run}", "preferences"), run=trained_with(BINOMIALS)),
        exposures=[
            P.exposures(probe, run)
            for run in trained_with(BINOMIALS)
            for probe in probes_for(run, BINOMIALS)
        ],
        stimuli=[stimuli_of(probe) for probe in BINOMIALS.values()],
        weights=[file for probe in BINOMIALS.values() for file in weights_of(probe)],
        provenance=expand(P.corpus("{corpus}", "provenance.json"), corpus=INSERTED),
    output:
        P.table("insertions"),
    log:
        P.log("insertions"),
    benchmark:
        P.benchmark("insertions")
    conda:
        ENVIRONMENT
    resources:
        mem_mb=ANALYSIS.mem_mb,
        runtime=ANALYSIS.runtime,
    params:
        script=f"{SCRIPTS}/insertions.py",
        runs=[f"--run {name} {quote(spec(study.runs[name]))}" for name in trained_with(BINOMIALS)],
        probes=[
            f"--probe {name} {quote(spec(probe))} {quote(stimuli_of(probe))}"
            for name, probe in BINOMIALS.items()
        ],
        inserted=[f"--inserted {name} {P.corpus(name, 'provenance.json')}" for name in INSERTED],
        folder=lambda wildcards: P.root,
    message:
        "Preferences by inserted count"
    shell:
        "python {params.script:q} --study-folder {params.folder} {params.runs} {params.probes}"
        " {params.inserted} --output {output} 2>&1 | tee {log}"


rule capacity:
    input:
        expand(
            P.run_table("{run}", "{table}"),
            run=trained_with(COMPLETIONS),
            table=["completions", "losses"],
        ),
        sorted(
            {
                P.architecture(TRAINED[run].architecture, TRAINED[run].tokenizer)
                for run in trained_with(COMPLETIONS)
            }
        ),
    output:
        curves=[P.table(f"curves_{corpus}") for corpus in CAPACITY_CORPORA],
        capacity=P.table("capacity"),
        summary=P.table("capacity_summary"),
    log:
        P.log("capacity"),
    benchmark:
        P.benchmark("capacity")
    conda:
        ENVIRONMENT
    resources:
        mem_mb=ANALYSIS.mem_mb,
        runtime=ANALYSIS.runtime,
    params:
        script=f"{SCRIPTS}/capacity.py",
        families=[f"--family {name} {' '.join(runs)}" for name, runs in CAPACITY_FAMILIES.items()],
        runs=capacity_settings,
        curves=[f"--curves {corpus} {P.table(f'curves_{corpus}')}" for corpus in CAPACITY_CORPORA],
        folder=lambda wildcards: P.root,
    message:
        "Completions by size, corpus and seed"
    shell:
        "python {params.script:q} --study-folder {params.folder} {params.families}"
        " --runs {params.runs:q} --capacity {output.capacity} --summary {output.summary}"
        " {params.curves} 2>&1 | tee {log}"


rule tables:
    input:
        missing_scores,
        [P.run_table(run, table) for table, runs in RUN_TABLES.items() for run in runs],
        [P.table(table) for table in STUDY_TABLES],
