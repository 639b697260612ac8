# Downloads: files from their public home, which all studies share. `update`: a file that is there
# is checked, not fetched again, and a record outlives its file. How a file is described is no
# reason to run (the spec is a function of the output, so Snakemake does not compare it): whether
# what is there is what the study asks for is checked before any job.


# On the machine that Snakemake runs on: compute nodes often have no network.
rule download:
    output:
        file=update("downloads/{file}"),
        record=update("downloads/{file}.json"),
    log:
        P.log("download/{file}"),
    benchmark:
        P.benchmark("download/{file}")
    wildcard_constraints:
        file=any_of(DOWNLOADED),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        script=f"{SCRIPTS}/download.py",
        name=lambda wildcards: DOWNLOADED[wildcards.file],
        spec=lambda wildcards, output: spec(study.downloads[DOWNLOADED[wildcards.file]]),
    message:
        "Download {wildcards.file}"
    shell:
        "python {params.script:q} --name {params.name} --spec {params.spec:q}"
        " --output {output.file} 2>&1 | tee {log}"


rule unpack:
    input:
        archive=archive_of,
    output:
        "downloads/{archive}.unpacked/{member}",
    log:
        P.log("unpack/{archive}/{member}"),
    benchmark:
        P.benchmark("unpack/{archive}/{member}")
    wildcard_constraints:
        archive=any_of(f"{name}/{download.saved_as}" for name, download in study.downloads.items()),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=CORPUS.mem_mb,
        runtime=CORPUS.runtime,
    params:
        script=f"{SCRIPTS}/unpack.py",
    message:
        "Unpack {wildcards.member} from {input.archive}"
    shell:
        "python {params.script:q} --archive {input.archive:q} --member {wildcards.member:q}"
        " --output {output:q} 2>&1 | tee {log:q}"


rule downloads:
    input:
        expand("downloads/{file}", file=DOWNLOADED),
