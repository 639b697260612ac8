# Scores that someone has published: per-checkpoint CSVs come in, in our columns. `update`: the
# script keeps the files that are whole and up to date, and makes the others.


for number, (name, run) in enumerate(RELEASED.items()):
    probe = study.probes[run.probe]

    rule:
        name:
            "import_scores" if len(RELEASED) == 1 else f"import_scores_{number}"
        input:
            files=released_files,
            stimuli=stimuli_of(probe),
            prompts=prompts_of(probe),
        output:
            scores=[update(P.scores(run.probe, "{run}", step)) for step in STEPS[name]],
            records=update(P.segment("{run}", 0, "scores.json")),
        log:
            P.log("import_scores/{run}"),
        benchmark:
            P.benchmark("import_scores/{run}")
        wildcard_constraints:
            run=any_of([name]),
        conda:
            ENVIRONMENT
        resources:
            mem_mb=ANALYSIS.mem_mb,
            runtime=ANALYSIS.runtime,
        params:
            script=f"{SCRIPTS}/import_scores.py",
            run=view(views.released),
            words=words_of(probe),
            max_prompts=f"--max-prompts {probe.max_prompts}" if probe.max_prompts else "",
            folder=lambda wildcards: SCORED_FOLDER,
        message:
            "Published scores of {wildcards.run}"
        shell:
            "python {params.script:q} --study-folder {params.folder} --name {wildcards.run}"
            " --run {params.run:q} --items {input.stimuli:q} --prompts {input.prompts:q}"
            " {params.words} {params.max_prompts} --records {output.records} 2>&1 | tee {log}"


rule completeness:
    input:
        scores=lambda wildcards: scores_of_run(wildcards.run, BINOMIALS),
        files=released_files,
    output:
        P.run_table("{run}", "completeness"),
    log:
        P.log("completeness/{run}"),
    benchmark:
        P.benchmark("completeness/{run}")
    wildcard_constraints:
        run=any_of(RELEASED),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=ANALYSIS.mem_mb,
        runtime=ANALYSIS.runtime,
    params:
        script=f"{SCRIPTS}/completeness.py",
        run=view(views.scheduled),
        folder=lambda wildcards: SCORED_FOLDER,
    message:
        "Completeness of {wildcards.run}"
    shell:
        "python {params.script:q} --study-folder {params.folder} --name {wildcards.run}"
        " --run {params.run:q} --output {output} 2>&1 | tee {log}"
