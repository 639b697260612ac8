# Corpora: documents from any source, without duplicates, some of them held out.


rule corpus:
    input:
        files=source_files("files"),
        validation_files=source_files("validation_files"),
        dataset=dataset_files,
        toy=toy_files,
    output:
        train=P.corpus("{corpus}", "train.parquet"),
        validation=P.corpus("{corpus}", "validation.parquet"),
        provenance=P.corpus("{corpus}", "provenance.json"),
    log:
        P.log("corpus/{corpus}"),
    benchmark:
        P.benchmark("corpus/{corpus}")
    wildcard_constraints:
        corpus=any_of(set(study.corpora) - set(DERIVED)),
    conda:
        ENVIRONMENT
    threads: CORPUS.threads
    resources:
        mem_mb=CORPUS.mem_mb,
        runtime=CORPUS.runtime,
    params:
        script=f"{SCRIPTS}/corpus.py",
        spec=lambda wildcards: spec(study.corpora[wildcards.corpus]),
    message:
        "Corpus {wildcards.corpus}"
    shell:
        "python {params.script:q} --spec {params.spec:q} --files {input.files:q}"
        " --validation-files {input.validation_files:q} --train {output.train}"
        " --validation {output.validation} --provenance {output.provenance} 2>&1 | tee {log}"


rule derive:
    input:
        corpora=corpora_read,
        stimuli=items_inserted_or_removed,
        files=insertion_files,
    output:
        train=P.corpus("{corpus}", "train.parquet"),
        validation=P.corpus("{corpus}", "validation.parquet"),
        provenance=P.corpus("{corpus}", "provenance.json"),
    log:
        P.log("derive/{corpus}"),
    benchmark:
        P.benchmark("derive/{corpus}")
    wildcard_constraints:
        corpus=any_of(DERIVED),
    conda:
        ENVIRONMENT
    threads: CORPUS.threads
    resources:
        mem_mb=CORPUS.mem_mb,
        runtime=CORPUS.runtime,
    params:
        script=f"{SCRIPTS}/derive.py",
        spec=lambda wildcards: spec(study.corpora[wildcards.corpus]),
        sources=source_arguments,
        stimuli=lambda wildcards, input: [
            f"--items {quote(path)}" for path in [input.stimuli] if path
        ],
    message:
        "Corpus {wildcards.corpus}"
    shell:
        "python {params.script:q} --spec {params.spec:q} {params.sources} {params.stimuli}"
        " --train {output.train} --validation {output.validation}"
        " --provenance {output.provenance} 2>&1 | tee {log}"


rule toy_items:
    input:
        toy=toy_files,
    output:
        P.corpus("{corpus}", "items.csv"),
    log:
        P.log("toy_items/{corpus}"),
    benchmark:
        P.benchmark("toy_items/{corpus}")
    conda:
        ENVIRONMENT
    params:
        script=f"{SCRIPTS}/toy_items.py",
        seed=lambda wildcards: study.corpora[wildcards.corpus].language_seed,
    message:
        "Binomials of the toy language of corpus {wildcards.corpus}"
    shell:
        "python {params.script:q} --language-seed {params.seed} --output {output}"
        " 2>&1 | tee {log}"


rule toy_minimal_pairs:
    input:
        toy=toy_files,
    output:
        P.corpus("{corpus}", "pairs.csv"),
    log:
        P.log("toy_minimal_pairs/{corpus}"),
    benchmark:
        P.benchmark("toy_minimal_pairs/{corpus}")
    conda:
        ENVIRONMENT
    params:
        script=f"{SCRIPTS}/toy_minimal_pairs.py",
        seed=lambda wildcards: study.corpora[wildcards.corpus].language_seed,
    message:
        "Minimal pairs of the toy language of corpus {wildcards.corpus}"
    shell:
        "python {params.script:q} --language-seed {params.seed} --output {output}"
        " 2>&1 | tee {log}"


rule corpora:
    input:
        expand(
            P.corpus("{corpus}", "{file}"),
            corpus=study.corpora,
            file=["train.parquet", "validation.parquet"],
        ),
