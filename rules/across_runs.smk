# Analysis across runs: one table per question.


rule comparisons:
    input:
        preferences=expand(P.run_table("{run}", "preferences"), run=runs_with(BINOMIALS)),
        stimuli=[stimuli_of(probe) for probe in BINOMIALS.values()],
        weights=[file for probe in BINOMIALS.values() for file in weights_of(probe)],
        responses=[
            of_study(probe.responses)
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
        probes=as_it_is(
            [
                f"--probe {name} {quote(views.as_json(views.analysed(probe)))} "
                + quote(stimuli_of(probe))
                for name, probe in BINOMIALS.items()
            ]
        ),
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
        runs=[
            f"--run {name} {TRAINED[name].corpus} {' '.join(probes_for(name, BINOMIALS))}"
            for name in trained_with(BINOMIALS)
        ],
        probes=as_it_is(
            [
                f"--probe {name} {quote(views.as_json(views.analysed(probe)))} "
                + quote(stimuli_of(probe))
                for name, probe in BINOMIALS.items()
            ]
        ),
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
        rules.about.output,
        rules.runs_table.output,
        [P.run_table(run, table) for table, runs in RUN_TABLES.items() for run in runs],
        [P.table(table) for table in STUDY_TABLES],
