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
            run=of(run, view(views.scheduled)),
            trained_as=trained_as(run),
            probes=of(run, probe_arguments(BINOMIALS, views.indexed)),
            folder=lambda wildcards: SCORED_FOLDER,
        message:
            f"Preferences of {run}, by item"
        shell:
            "python {params.script:q} --study-folder {params.folder} --name {params.name}"
            " --run {params.run:q} {params.trained_as} {params.probes}"
            " --output {output} 2>&1 | tee {log}"


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
        trained=lambda wildcards: "--trained" if wildcards.run in TRAINED else "",
        probes=probe_arguments(BINOMIALS),
        folder=lambda wildcards: SCORED_FOLDER,
    message:
        "Correlations of {wildcards.run}"
    shell:
        "python {params.script:q} --study-folder {params.folder} --name {wildcards.run}"
        " {params.trained} {params.probes} --output {output} 2>&1 | tee {log}"


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
        trained=lambda wildcards: "--trained" if wildcards.run in TRAINED else "",
        probes=probe_arguments(BINOMIALS),
        folder=lambda wildcards: SCORED_FOLDER,
    message:
        "Peak, end and fall of each trajectory of {wildcards.run}"
    shell:
        "python {params.script:q} --study-folder {params.folder} --name {wildcards.run}"
        " {params.trained} {params.probes} --output {output} 2>&1 | tee {log}"


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
        trained=lambda wildcards: "--trained" if wildcards.run in TRAINED else "",
        probes=probe_arguments(BINOMIALS),
        folder=lambda wildcards: SCORED_FOLDER,
    message:
        "Regressions of the preferences of {wildcards.run}"
    shell:
        "python {params.script:q} --study-folder {params.folder} --name {wildcards.run}"
        " {params.trained} {params.probes} --output {output.regressions}"
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
        trained=lambda wildcards: "--trained" if wildcards.run in TRAINED else "",
        probes=probe_arguments(BINOMIALS),
        folder=lambda wildcards: SCORED_FOLDER,
    message:
        "How many exposures the items of {wildcards.run} needed"
    shell:
        "python {params.script:q} --study-folder {params.folder} --name {wildcards.run}"
        " {params.trained} {params.probes} --output {output.by_item}"
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
            run=of(run, view(views.scheduled)),
            trained_as=trained_as(run),
            probes=of(run, probe_arguments(MINIMAL_PAIRS)),
            folder=lambda wildcards: SCORED_FOLDER,
        message:
            f"Minimal pairs of {run}"
        shell:
            "python {params.script:q} --study-folder {params.folder} --name {params.name}"
            " --run {params.run:q} {params.trained_as} {params.probes}"
            " --output {output} 2>&1 | tee {log}"


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
        folder=lambda wildcards: SCORED_FOLDER,
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
            run=of(run, view(views.scheduled)),
            trained_as=trained_as(run),
            probes=of(run, probe_arguments(COMPLETIONS)),
            folder=lambda wildcards: SCORED_FOLDER,
        message:
            f"Completions of {run}"
        shell:
            "python {params.script:q} --study-folder {params.folder} --name {params.name}"
            " --run {params.run:q} {params.trained_as} {params.probes}"
            " --output {output} 2>&1 | tee {log}"


rule losses:
    input:
        losses=segment_files("losses.csv"),
        manifests=segment_files("manifest.json"),
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
        trained_as=lambda wildcards: trained_as(wildcards.run),
    message:
        "Loss curve of {wildcards.run}"
    shell:
        "python {params.script:q} --segments {input.losses} --manifests {input.manifests}"
        " {params.trained_as} --output {output} 2>&1 | tee {log}"


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
            run=of(run, view(views.scheduled)),
            trained_as=trained_as(run),
            probes=of(run, lambda wildcards: list(probes_for(wildcards.run, PERPLEXITY))),
            folder=lambda wildcards: SCORED_FOLDER,
        message:
            f"Perplexity of {run}"
        shell:
            "python {params.script:q} --study-folder {params.folder} --name {params.name}"
            " --run {params.run:q} {params.trained_as} --probes {params.probes}"
            " --output {output} 2>&1 | tee {log}"
