# Tokenizers, corpora as token ids, stimuli as token ids.


rule tokenizer:
    input:
        documents=training_documents,
        folder=tokenizer_files,
    output:
        tokenizer=P.tokenizer("{tokenizer}", "tokenizer.json"),
        config=P.tokenizer("{tokenizer}", "tokenizer_config.json"),
    log:
        P.log("tokenizer/{tokenizer}"),
    benchmark:
        P.benchmark("tokenizer/{tokenizer}")
    conda:
        ENVIRONMENT
    threads: CORPUS.threads
    resources:
        mem_mb=CORPUS.mem_mb,
        runtime=CORPUS.runtime,
    params:
        script=f"{SCRIPTS}/tokenizer.py",
        spec=lambda wildcards: spec(study.tokenizers[wildcards.tokenizer]),
        documents=lambda wildcards, input: (
            f"--documents {input.documents}" if input.documents else ""
        ),
    message:
        "Tokenizer {wildcards.tokenizer}"
    shell:
        "python {params.script:q} --spec {params.spec:q} {params.documents}"
        " --output {output.tokenizer} --output-config {output.config} 2>&1 | tee {log}"


rule tokens:
    input:
        tokenizer=P.tokenizer("{tokenizer}", "tokenizer.json"),
        train=P.corpus("{corpus}", "train.parquet"),
        validation=P.corpus("{corpus}", "validation.parquet"),
    output:
        expand(
            P.tokens("{{corpus}}", "{{tokenizer}}", "{file}"),
            file=[
                "train.bin",
                "train.documents.npy",
                "validation.bin",
                "validation.documents.npy",
                "meta.json",
            ],
        ),
    log:
        P.log("tokens/{corpus}/{tokenizer}"),
    benchmark:
        P.benchmark("tokens/{corpus}/{tokenizer}")
    conda:
        ENVIRONMENT
    threads: CORPUS.threads
    resources:
        mem_mb=CORPUS.mem_mb,
        runtime=CORPUS.runtime,
    params:
        script=f"{SCRIPTS}/tokens.py",
        folder=P.tokens("{corpus}", "{tokenizer}", ""),
    message:
        "Tokens of corpus {wildcards.corpus} under tokenizer {wildcards.tokenizer}"
    shell:
        "python {params.script:q} --tokenizer {input.tokenizer} --train-documents {input.train}"
        " --validation-documents {input.validation} --output-folder {params.folder}"
        " 2>&1 | tee {log}"


# Before training (priority): stimuli that a tokenizer can't represent stop the study early.
rule index:
    input:
        stimuli=lambda wildcards: stimuli_of(INDEXED[wildcards.probe]),
        prompts=lambda wildcards: prompts_of(INDEXED[wildcards.probe]),
        weights=lambda wildcards: weights_of(INDEXED[wildcards.probe]),  # are only checked
        tokenizer=P.tokenizer("{tokenizer}", "tokenizer.json"),
    output:
        P.index("{probe}", "{tokenizer}"),
    log:
        P.log("index/{probe}/{tokenizer}"),
    benchmark:
        P.benchmark("index/{probe}/{tokenizer}")
    priority: 10
    conda:
        ENVIRONMENT
    params:
        script=f"{SCRIPTS}/index.py",
        spec=lambda wildcards: views.as_json(views.indexed(INDEXED[wildcards.probe])),
        check=lambda wildcards: spec(INDEXED[wildcards.probe]),
        prompts=lambda wildcards, input: (
            f"--prompts {quote(input.prompts)}" if input.prompts else ""
        ),
        positions=positions_argument,
    message:
        "Index of probe {wildcards.probe} under tokenizer {wildcards.tokenizer}"
    shell:
        "python {params.script:q} --spec {params.spec:q} --check {params.check:q}"
        " --stimuli {input.stimuli:q}"
        " {params.prompts} --tokenizer {input.tokenizer} {params.positions}"
        " --output {output} 2>&1 | tee {log}"
