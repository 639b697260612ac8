# Analysis: from score files and loss curves to one table per run and question.


rule correlations:
    input:
        scores=scores_of(BINOMIALS),
        stimuli=stimuli_for(BINOMIALS),
        weights=lambda wildcards: [
            file for probe in BINOMIALS.values() for file in weights_of(probe)
        ],
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


rule minimal_pairs:
    input:
        scores=scores_of(MINIMAL_PAIRS),
        stimuli=stimuli_for(MINIMAL_PAIRS),
    output:
        P.run_table("{run}", "minimal_pairs"),
    log:
        P.log("minimal_pairs/{run}"),
    benchmark:
        P.benchmark("minimal_pairs/{run}")
    conda:
        ENVIRONMENT
    resources:
        mem_mb=ANALYSIS.mem_mb,
        runtime=ANALYSIS.runtime,
    params:
        script=f"{SCRIPTS}/minimal_pairs.py",
        run=run_spec,
        probes=probe_arguments(MINIMAL_PAIRS),
        folder=lambda wildcards: P.root,
    message:
        "Minimal pairs of {wildcards.run}"
    shell:
        "python {params.script:q} --study-folder {params.folder} --name {wildcards.run}"
        " --run {params.run:q} {params.probes} --output {output} 2>&1 | tee {log}"


rule completions:
    input:
        scores=scores_of(COMPLETIONS),
        stimuli=stimuli_for(COMPLETIONS),
    output:
        P.run_table("{run}", "completions"),
    log:
        P.log("completions/{run}"),
    benchmark:
        P.benchmark("completions/{run}")
    conda:
        ENVIRONMENT
    resources:
        mem_mb=ANALYSIS.mem_mb,
        runtime=ANALYSIS.runtime,
    params:
        script=f"{SCRIPTS}/completions.py",
        run=run_spec,
        probes=probe_arguments(COMPLETIONS),
        folder=lambda wildcards: P.root,
    message:
        "Completions of {wildcards.run}"
    shell:
        "python {params.script:q} --study-folder {params.folder} --name {wildcards.run}"
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


rule perplexity:
    input:
        scores_of(PERPLEXITY),
    output:
        P.run_table("{run}", "perplexity"),
    log:
        P.log("perplexity/{run}"),
    benchmark:
        P.benchmark("perplexity/{run}")
    conda:
        ENVIRONMENT
    params:
        script=f"{SCRIPTS}/perplexity.py",
        run=run_spec,
        probes=list(PERPLEXITY),
        folder=lambda wildcards: P.root,
    message:
        "Perplexity of {wildcards.run}"
    shell:
        "python {params.script:q} --study-folder {params.folder} --name {wildcards.run}"
        " --run {params.run:q} --probes {params.probes} --output {output} 2>&1 | tee {log}"


rule tables:
    input:
        [P.run_table(run, table) for table, runs in RUN_TABLES.items() for run in runs],
