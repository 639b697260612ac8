# The Hub: checkpoints of published models come in, checkpoints of one's own go out.


# On the machine that Snakemake runs on, as downloads are. `temp`: weights are on the disk until they
# are scored. The manifest stays, so that scores that are there are up to date without them.
for rule_name, run, segment in segment_rules("fetch", FETCHED):

    rule:
        name:
            rule_name
        output:
            checkpoints=[
                temp(P.checkpoint(run, step, file))
                for step in segment.checkpoints
                for file in ("model.safetensors", "config.json")
            ],
            manifest=P.segment(run, segment.number, "manifest.json"),
        log:
            P.log(f"fetch/{run}/{segment.number:04d}"),
        benchmark:
            P.benchmark(f"fetch/{run}/{segment.number:04d}")
        localrule: True
        conda:
            ENVIRONMENT
        resources:
            mem_mb=SCORE.mem_mb,
            runtime=SCORE.runtime,
        params:
            run=run,
            script=f"{SCRIPTS}/fetch.py",
            model=FETCHED[run].model,
            segment=segment.number,
            revisions=as_it_is(json.dumps(fetched_view(run, segment.checkpoints)["revisions"])),
            folder=lambda wildcards: P.root,
        message:
            f"Fetch {run} to step {segment.end}"
        shell:
            "python {params.script:q} --name {params.run} --model={params.model:q}"
            " --segment {params.segment} --revisions {params.revisions:q}"
            " --study-folder {params.folder} 2>&1 | tee {log}"


rule publish_run:
    input:
        checkpoints=lambda wildcards: [
            P.checkpoint(wildcards.run, step, "model.safetensors") for step in STEPS[wildcards.run]
        ],
        manifests=lambda wildcards: [
            P.segment(wildcards.run, segment.number, "manifest.json")
            for segment in segments_of(wildcards.run)
        ],
        meta=tokens_of("meta.json"),
        tokenizer=lambda wildcards: [
            P.tokenizer(study.runs[wildcards.run].tokenizer, file)
            for file in ("tokenizer.json", "tokenizer_config.json")
        ],
        loss_figure=P.run_figure("{run}", "loss", "png"),
        tables=tables_of,
    output:
        record=P.published("{run}"),
        card=P.published_file("{run}", "README.md"),
        manifest=P.published_file("{run}", "manifest.json"),
    log:
        P.log("publish/{run}"),
    benchmark:
        P.benchmark("publish/{run}")
    wildcard_constraints:
        run=any_of(TRAINED),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        script=f"{SCRIPTS}/publish.py",
        study=study.study,
        publish=lambda wildcards: spec(study.publish),
        spec=publish_spec,
        folder=lambda wildcards: P.root,
    message:
        "Publish {wildcards.run}"
    shell:
        "python {params.script:q} --study {params.study} --name {wildcards.run}"
        " --publish {params.publish:q} --spec {params.spec:q} --manifests {input.manifests}"
        " --meta {input.meta} --tokenizer {input.tokenizer} --loss-figure {input.loss_figure}"
        " --tables {input.tables} --study-folder {params.folder} --card {output.card}"
        " --manifest {output.manifest} --output {output.record} 2>&1 | tee {log}"


# Never a part of `all`: what is on the Hub is seen by others.
rule publish:
    input:
        published_records,
