# What a folder of results says of itself. Local: each takes a second.


# Remade when the study changes, but for what no result depends on. `update`: study.yaml may be the
# file that is being run, so it must not be gone meanwhile.
rule about:
    output:
        study=update(P.about("study.yaml")),
        environment=P.about("environment.txt"),
        readme=P.about("README.md"),
    log:
        P.log("about"),
    benchmark:
        P.benchmark("about")
    localrule: True
    conda:
        ENVIRONMENT
    params:
        script=f"{SCRIPTS}/about.py",
        study=as_it_is(packed(resolved_study(study))),
        folder=lambda wildcards: P.root,
    message:
        "What this study is, and what is where"
    shell:
        "python {params.script:q} --study-folder {params.folder} --study {params.study:q}"
        " 2>&1 | tee {log}"


rule runs_table:
    input:
        P.about("study.yaml"),
        [P.run_table(run, "losses") for run in TRAINED],
        [P.run_table(run, "completeness") for run in RELEASED],
        sorted({P.architecture(run.architecture, run.tokenizer) for run in TRAINED.values()}),
        [made("train", run, segment).manifest for run in TRAINED for segment in segments_of(run)],
        [made("fetch", run, segment).manifest for run in FETCHED for segment in segments_of(run)],
        [of_study(run.revisions) for run in FETCHED.values()],
    output:
        P.table("runs"),
    log:
        P.log("runs_table"),
    benchmark:
        P.benchmark("runs_table")
    localrule: True
    conda:
        ENVIRONMENT
    params:
        script=f"{SCRIPTS}/about.py",
        folder=lambda wildcards: P.root,
    message:
        "Table of all runs"
    shell:
        "python {params.script:q} --study-folder {params.folder} --runs 2>&1 | tee {log}"
