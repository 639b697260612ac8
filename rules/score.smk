# Scoring: one job a segment scores its checkpoints on every probe. `update`: the script keeps
# the files that are whole and up to date, and makes the others.


for rule_name, run, segment in segment_rules("score", TRAINED | FETCHED):
    if not study.scored_on(run):
        continue

    rule:
        name:
            rule_name
        input:
            checkpoints_of(run, segment),
            manifest=P.segment(run, segment.number, "manifest.json"),
            indexes=of(run, indexes_of),
            tokenizer=of(run, tokenizer_of),
            tokens=of(run, held_out_tokens),
        output:
            scores=[
                update(P.scores(probe, run, step))
                for probe in study.scored_on(run)
                for step in segment.checkpoints
            ],
            records=update(P.segment(run, segment.number, "scores.json")),
        log:
            P.log(f"score/{run}/{segment.number:04d}"),
        benchmark:
            P.benchmark(f"score/{run}/{segment.number:04d}")
        conda:
            ENVIRONMENT
        threads: SCORE.threads
        resources:
            gpu=SCORE.gpu,
            mem_mb=SCORE.mem_mb,
            runtime=SCORE.runtime,
            batch_tokens=SCORE.batch_tokens,
        params:
            run=run,
            script=f"{SCRIPTS}/score_segment.py",
            indexed=of(run, indexed_arguments),
            perplexity=of(run, perplexity_arguments),
            trained_as=views.name_of(
                trained_view(run) if run in TRAINED else fetched_view(run, segment.checkpoints)
            ),
            steps=list(segment.checkpoints),
            block_size=study.runs[run].block_size,
            folder=lambda wildcards: SCORED_FOLDER,
        message:
            f"Score {run} to step {segment.end}"
        shell:
            "python {params.script:q} --name {params.run} --manifest {input.manifest}"
            " --trained-as {params.trained_as} --steps {params.steps}"
            " --tokenizer {input.tokenizer} --study-folder {params.folder}"
            " --records {output.records} {params.indexed} {params.perplexity} --block-size {params.block_size}"
            " --threads {threads} --gpu {resources.gpu} --batch-tokens {resources.batch_tokens} 2>&1 | tee {log}"


# Score files by their paths: those that are made, and those of published scores.
SCORE_FILES = {
    path: path
    for name in RELEASED
    for path in (P.scores(RELEASED[name].probe, name, step) for step in STEPS[name])
}
for rule_name, run, segment in segment_rules("score", TRAINED | FETCHED):
    if study.scored_on(run):
        SCORE_FILES.update((str(file), file) for file in made("score", run, segment).scores)


rule scores:
    input:
        lambda wildcards: list(SCORE_FILES),
