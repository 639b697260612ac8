# Scoring: one job a segment scores its checkpoints on every probe. `update`: the script keeps
# the files that are whole and up to date, and makes the others.


for rule_name, run, runs, segment in segment_rules("score", TRAINED | FETCHED, study.probes):
    if not probes_of_run(runs[0]):
        continue

    rule:
        name:
            rule_name
        input:
            checkpoints_of(run, segment),
            manifest=P.segment(run, segment.number, "manifest.json"),
            indexes=own(run, indexes_of),
            tokenizer=own(run, tokenizer_of),
            tokens=own(run, held_out_tokens),
        output:
            scores=[
                update(P.scores(probe, run, step))
                for probe in probes_of_run(runs[0])
                for step in segment.checkpoints
            ],
            records=update(P.segment(run, segment.number, "scores.json")),
        log:
            P.log(f"score/{run}/{segment.number:04d}"),
        benchmark:
            P.benchmark(f"score/{run}/{segment.number:04d}")
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
            indexed=own(run, indexed_arguments),
            perplexity=own(run, perplexity_arguments),
            block_size=own(run, lambda wildcards: study.runs[wildcards.run].block_size),
            folder=lambda wildcards: P.root,
        message:
            own_text(run, f"Score {{wildcards.run}} to step {segment.end}")
        shell:
            own_text(
                run,
                "python {params.script:q} --name {wildcards.run} --manifest {input.manifest}"
                " --tokenizer {input.tokenizer} --study-folder {params.folder}"
                " --records {output.records} {params.indexed} {params.perplexity} --block-size {params.block_size}"
                " --threads {threads} --gpu {resources.gpu} --batch-tokens {resources.batch_tokens} 2>&1 | tee {log}",
            )


SCORE_FILES = all_scores()


rule scores:
    input:
        lambda wildcards: list(SCORE_FILES),
