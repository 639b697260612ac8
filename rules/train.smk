# Training: a chain of segments. Each begins from the state that the one before it left.
# The state is `ancient`: one that is made again is byte-identical, so it remakes nothing. So is the
# architecture: it is checked there, and what it says is in the spec.


# Before training: a mistake in an architecture must not cost the checkpoints of an earlier run.
rule architecture:
    input:
        tokenizer=P.tokenizer("{tokenizer}", "tokenizer.json"),
    output:
        P.architecture("{architecture}", "{tokenizer}"),
    log:
        P.log("architecture/{architecture}/{tokenizer}"),
    benchmark:
        P.benchmark("architecture/{architecture}/{tokenizer}")
    priority: 10
    conda:
        ENVIRONMENT
    resources:
        mem_mb=TRAIN.mem_mb,
        runtime=TRAIN.runtime,
    params:
        script=f"{SCRIPTS}/architecture.py",
        spec=lambda wildcards: spec(study.architectures[wildcards.architecture]),
        block_size=longest_block,
    message:
        "Architecture {wildcards.architecture} for tokenizer {wildcards.tokenizer}"
    shell:
        "python {params.script:q} --spec {params.spec:q} --tokenizer {input.tokenizer}"
        " --block-size {params.block_size} --output {output} 2>&1 | tee {log}"


# With `temp`, weights are removed when they are scored.
weights = str if study.keep_checkpoints == "all" else temp

for rule_name, run, segment in segment_rules("train", TRAINED):

    rule:
        name:
            rule_name
        input:
            tokens=of(run, tokens_of("train.bin")),
            meta=of(run, tokens_of("meta.json")),
            documents=of(run, tokens_of("train.documents.npy")),
            tokenizer=of(run, tokenizer_of),
            architecture=ancient(P.architecture(TRAINED[run].architecture, TRAINED[run].tokenizer)),
            state=ancient(P.state(run, segment.number - 1)) if segment.start else [],
        output:
            losses=P.segment(run, segment.number, "losses.csv"),
            manifest=P.segment(run, segment.number, "manifest.json"),
            state=(
                P.state(run, segment.number)
                if segment.is_last
                else temp(P.state(run, segment.number))
            ),
            weights=[
                weights(P.checkpoint(run, step, "model.safetensors"))
                for step in segment.checkpoints
            ],
        log:
            P.log(f"train/{run}/{segment.number:04d}"),
        benchmark:
            P.benchmark(f"train/{run}/{segment.number:04d}")
        conda:
            ENVIRONMENT
        threads: TRAIN.threads
        resources:
            gpu=TRAIN.gpu,
            mem_mb=TRAIN.mem_mb,
            runtime=TRAIN.runtime,
            batch_tokens=TRAIN.batch_tokens or 0,
            compile={None: "auto", True: "yes", False: "no"}[TRAIN.compile],
        params:
            run=run,
            script=f"{SCRIPTS}/train.py",
            spec=as_it_is(views.as_json(trained_view(run))),
            segment=segment.number,
            begin=segment.start,
            end=segment.end,
            checkpoints=list(segment.checkpoints),
            max_loss=f"--max-loss {TRAINED[run].max_loss}" if TRAINED[run].max_loss else "",
            state=(f"--state {P.state(run, segment.number - 1)}" if segment.start else ""),
            folder=lambda wildcards: P.root,
        message:
            f"Train {run} to step {segment.end}"
        shell:
            "python {params.script:q} --name {params.run} --spec {params.spec:q}"
            " --segment {params.segment} --begin {params.begin} --end {params.end}"
            " --checkpoints {params.checkpoints} {params.max_loss} --tokens {input.tokens} --meta {input.meta}"
            " --documents {input.documents}"
            " --tokenizer {input.tokenizer} {params.state} --study-folder {params.folder}"
            " --threads {threads} --gpu {resources.gpu} --batch-tokens {resources.batch_tokens}"
            " --compile {resources.compile} 2>&1 | tee {log}"


rule runs:
    input:
        lambda wildcards: [
            P.checkpoint(name, step, "model.safetensors")
            for name in TRAINED
            for step in STEPS[name]
        ],
