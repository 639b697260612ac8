# Scoring: one job a segment scores its checkpoints on every probe. `update`: the script keeps
# the files that are whole and up to date, and makes the others.


for rule_name, runs, segment in segment_rules("score", TRAINED | FETCHED, study.probes):
    if not probes_of_run(runs[0]):
        continue

    rule:
        name:
            rule_name
        input:
            checkpoints=[
                P.checkpoint("{run}", step, file)
                for step in segment.checkpoints
                for file in ("model.safetensors", "config.json")
            ],
            manifest=P.segment("{run}", segment.number, "manifest.json"),
            indexes=indexes_of,
            tokenizer=tokenizer_of,
            tokens=held_out_tokens,
        output:
            scores=[
                update(P.scores(probe, "{run}", step))
                for probe in probes_of_run(runs[0])
                for step in segment.checkpoints
            ],
            records=update(P.segment("{run}", segment.number, "scores.json")),
        log:
            P.log(f"score/{{run}}/{segment.number:04d}"),
        benchmark:
            P.benchmark(f"score/{{run}}/{segment.number:04d}")
        wildcard_constraints:
            run=any_of(runs),
        conda:
            ENVIRONMENT
        threads: SCORE.threads
        resources:
            gpu=SCORE.gpu,
            mem_mb=SCORE.mem_mb,
            runtime=SCORE.runtime,
            batch_tokens=SCORE.batch_tokens,
        params:
            script=f"{SCRIPTS}/score_segment.py",
            indexed=indexed_arguments,
            perplexity=perplexity_arguments,
            block_size=lambda wildcards: study.runs[wildcards.run].block_size,
            folder=lambda wildcards: P.root,
        message:
            f"Score {{wildcards.run}} to step {segment.end}"
        shell:
            "python {params.script:q} --name {wildcards.run} --manifest {input.manifest}"
            " --tokenizer {input.tokenizer} --study-folder {params.folder}"
            " --records {output.records} {params.indexed} {params.perplexity} --block-size {params.block_size}"
            " --threads {threads} --gpu {resources.gpu} --batch-tokens {resources.batch_tokens} 2>&1 | tee {log}"


rule scores:
    input:
        [
            P.scores(probe, name, step)
            for name in study.runs
            for probe in probes_for(name, study.probes)
            for step in STEPS[name]
        ],
