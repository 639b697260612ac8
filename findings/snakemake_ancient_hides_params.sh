#!/usr/bin/env bash
# Snakemake 9.27.1: a job whose own params have changed is not run when the job that makes its
# `ancient` input has to run, too. The first call makes the input alone and ends with exit code 0;
# only the next call runs the job.
#
# `ancient` says that the time of an input does not count. One would expect that it says nothing of
# the job's other reasons. But Snakemake first leaves out of its check all that comes after a job
# that has to run, since that will run anyway, and then goes on from that job without passing
# through `ancient` files.
#
# Seen: params `value` of both rules 1, then 2. Planned: `a`. After it has run: a.txt holds 2, b.txt
# still 1. Planned then: `b`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q snakemake==9.27.1
export PATH="$folder/venv/bin:$PATH"
mkdir "$folder/work" && cd "$folder/work"
cat > Snakefile <<'SNAKEFILE'
rule b:
    input:
        ancient("a.txt"),
    output:
        "b.txt",
    params:
        value=config["value"],
    shell:
        "echo {params.value} > {output}"


rule a:
    output:
        "a.txt",
    params:
        value=config["value"],
    shell:
        "echo {params.value} > {output}"
SNAKEFILE

planned() { # the names of the jobs that a dry run lists
  snakemake -n --config value=2 2>&1 | awk '/^-+ +-+$/ { on = 1; next } /^total/ { exit } on { print $1 }'
}

snakemake -q all --cores 1 --config value=1
first=$(planned)
snakemake -q all --cores 1 --config value=2
made="$(cat a.txt) $(cat b.txt)"
second=$(planned)
echo "snakemake $(snakemake --version): planned '$first', made '$made', then planned '$second'"
[ "$first" = a ] && [ "$made" = "2 1" ] && [ "$second" = b ]
