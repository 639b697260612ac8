# Exposure: what of the stimuli a run has read by each of its checkpoints. Nothing here waits for
# training: which text each step sees follows from the study.


# Before training (priority): which items never occur in the text is known before hours go into it.
rule occurrences:
    input:
        stimuli=lambda wildcards: stimuli_of(BINOMIALS[wildcards.probe]),
        documents=P.corpus("{corpus}", "train.parquet"),
        tokenizer=P.tokenizer("{tokenizer}", "tokenizer.json"),
        tokens=expand(
            P.tokens("{{corpus}}", "{{tokenizer}}", "{file}"),
            file=["train.bin", "train.documents.npy", "meta.json"],
        ),
    output:
        P.occurrences("{probe}", "{corpus}", "{tokenizer}"),
    log:
        P.log("occurrences/{probe}/{corpus}/{tokenizer}"),
    benchmark:
        P.benchmark("occurrences/{probe}/{corpus}/{tokenizer}")
    priority: 10
    conda:
        ENVIRONMENT
    threads: CORPUS.threads
    resources:
        mem_mb=CORPUS.mem_mb,
        runtime=CORPUS.runtime,
    params:
        script=f"{SCRIPTS}/occurrences.py",
        words=lambda wildcards: words_of(BINOMIALS[wildcards.probe]),
        folder=lambda wildcards: P.tokens(wildcards.corpus, wildcards.tokenizer, ""),
    message:
        "Occurrences of the items of {wildcards.probe} in corpus {wildcards.corpus}"
    shell:
        "python {params.script:q} --items {input.stimuli:q} {params.words} --documents {input.documents}"
        " --tokenizer {input.tokenizer} --tokens-folder {params.folder} --threads {threads}"
        " --output {output} 2>&1 | tee {log}"


rule exposures:
    input:
        stimuli=lambda wildcards: stimuli_of(BINOMIALS[wildcards.probe]),
        occurrences=lambda wildcards: P.occurrences(
            wildcards.probe,
            study.runs[wildcards.run].corpus,
            study.runs[wildcards.run].tokenizer,
        ),
        meta=tokens_of("meta.json"),
        documents=tokens_of("train.documents.npy"),
    output:
        P.exposures("{probe}", "{run}"),
    log:
        P.log("exposures/{probe}/{run}"),
    benchmark:
        P.benchmark("exposures/{probe}/{run}")
    wildcard_constraints:
        run=any_of(TRAINED),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=ANALYSIS.mem_mb,
        runtime=ANALYSIS.runtime,
    params:
        script=f"{SCRIPTS}/exposures.py",
        words=lambda wildcards: words_of(BINOMIALS[wildcards.probe]),
        run=view(views.ordered),
    message:
        "Exposures of {wildcards.run} to the items of {wildcards.probe}"
    shell:
        "python {params.script:q} --name {wildcards.run} --run {params.run:q}"
        " --items {input.stimuli:q} {params.words} --occurrences {input.occurrences} --meta {input.meta}"
        " --documents {input.documents}"
        " --output {output} 2>&1 | tee {log}"


rule bigrams:
    input:
        tokens=tokens_of("train.bin"),
        meta=tokens_of("meta.json"),
        documents=tokens_of("train.documents.npy"),
        index=lambda wildcards: P.index(wildcards.probe, study.runs[wildcards.run].tokenizer),
    output:
        classes=P.bigrams("{probe}", "{run}", "classes.csv"),
        pairs=P.bigrams("{probe}", "{run}", "pairs.csv"),
    log:
        P.log("bigrams/{probe}/{run}"),
    benchmark:
        P.benchmark("bigrams/{probe}/{run}")
    wildcard_constraints:
        run=any_of(TRAINED),
    conda:
        ENVIRONMENT
    threads: CORPUS.threads
    resources:
        mem_mb=CORPUS.mem_mb,
        runtime=CORPUS.runtime,
    params:
        script=f"{SCRIPTS}/bigrams.py",
        run=view(views.ordered),
    message:
        "What the bigrams that {wildcards.run} has read say of the pairs of {wildcards.probe}"
    shell:
        "python {params.script:q} --name {wildcards.run} --run {params.run:q}"
        " --probe {wildcards.probe} --tokens {input.tokens} --meta {input.meta} --index {input.index}"
        " --documents {input.documents}"
        " --classes {output.classes} --pairs {output.pairs} 2>&1 | tee {log}"


rule exposure:
    input:
        [P.exposures(probe, run) for run in TRAINED for probe in probes_for(run, BINOMIALS)],
