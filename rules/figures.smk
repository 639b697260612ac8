# Figures, each from tables that are targets themselves.


rule plot_correlation:
    input:
        P.run_table("{run}", "correlations"),
    output:
        png=report(
            P.run_figure("{run}", "correlation", "png"),
            category="Correlations",
            labels={"run": "{run}"},
        ),
        svg=P.run_figure("{run}", "correlation", "svg"),
    log:
        P.log("plot_correlation/{run}"),
    benchmark:
        P.benchmark("plot_correlation/{run}")
    conda:
        ENVIRONMENT
    params:
        script=f"{SCRIPTS}/plot_correlation.py",
    message:
        "Figure: correlation of {wildcards.run}"
    shell:
        "python {params.script:q} --table {input} --png {output.png}"
        " --svg {output.svg} 2>&1 | tee {log}"


rule plot_minimal_pairs:
    input:
        P.run_table("{run}", "minimal_pairs"),
    output:
        png=report(
            P.run_figure("{run}", "minimal_pairs", "png"),
            category="Minimal pairs",
            labels={"run": "{run}"},
        ),
        svg=P.run_figure("{run}", "minimal_pairs", "svg"),
    log:
        P.log("plot_minimal_pairs/{run}"),
    benchmark:
        P.benchmark("plot_minimal_pairs/{run}")
    conda:
        ENVIRONMENT
    params:
        script=f"{SCRIPTS}/plot_minimal_pairs.py",
    message:
        "Figure: minimal pairs of {wildcards.run}"
    shell:
        "python {params.script:q} --table {input} --png {output.png}"
        " --svg {output.svg} 2>&1 | tee {log}"


rule plot_paradigms:
    input:
        P.run_table("{run}", "minimal_pairs"),
    output:
        png=report(
            P.run_figure("{run}", "paradigms", "png"),
            category="Minimal pairs",
            labels={"run": "{run}"},
        ),
        svg=P.run_figure("{run}", "paradigms", "svg"),
    log:
        P.log("plot_paradigms/{run}"),
    benchmark:
        P.benchmark("plot_paradigms/{run}")
    conda:
        ENVIRONMENT
    params:
        script=f"{SCRIPTS}/plot_paradigms.py",
    message:
        "Figure: paradigms of {wildcards.run}"
    shell:
        "python {params.script:q} --table {input} --png {output.png}"
        " --svg {output.svg} 2>&1 | tee {log}"


rule plot_completions:
    input:
        P.run_table("{run}", "completions"),
    output:
        png=report(
            P.run_figure("{run}", "completions", "png"),
            category="Completions",
            labels={"run": "{run}"},
        ),
        svg=P.run_figure("{run}", "completions", "svg"),
    log:
        P.log("plot_completions/{run}"),
    benchmark:
        P.benchmark("plot_completions/{run}")
    conda:
        ENVIRONMENT
    params:
        script=f"{SCRIPTS}/plot_completions.py",
    message:
        "Figure: completions of {wildcards.run}"
    shell:
        "python {params.script:q} --table {input} --png {output.png}"
        " --svg {output.svg} 2>&1 | tee {log}"


rule plot_loss:
    input:
        P.run_table("{run}", "losses"),
    output:
        png=report(
            P.run_figure("{run}", "loss", "png"), category="Training", labels={"run": "{run}"}
        ),
        svg=P.run_figure("{run}", "loss", "svg"),
    log:
        P.log("plot_loss/{run}"),
    benchmark:
        P.benchmark("plot_loss/{run}")
    conda:
        ENVIRONMENT
    params:
        script=f"{SCRIPTS}/plot_loss.py",
    message:
        "Figure: loss of {wildcards.run}"
    shell:
        "python {params.script:q} --table {input} --png {output.png} --svg {output.svg}"
        " 2>&1 | tee {log}"


rule plot_perplexity:
    input:
        P.run_table("{run}", "perplexity"),
    output:
        png=report(
            P.run_figure("{run}", "perplexity", "png"),
            category="Training",
            labels={"run": "{run}"},
        ),
        svg=P.run_figure("{run}", "perplexity", "svg"),
    log:
        P.log("plot_perplexity/{run}"),
    benchmark:
        P.benchmark("plot_perplexity/{run}")
    conda:
        ENVIRONMENT
    params:
        script=f"{SCRIPTS}/plot_perplexity.py",
    message:
        "Figure: perplexity of {wildcards.run}"
    shell:
        "python {params.script:q} --table {input} --png {output.png}"
        " --svg {output.svg} 2>&1 | tee {log}"


rule plot_overview:
    input:
        expand(P.run_table("{run}", "correlations"), run=runs_with(BINOMIALS)),
    output:
        png=report(P.figure("overview", "png"), category="Correlations", labels={"run": "all"}),
        svg=P.figure("overview", "svg"),
    log:
        P.log("plot_overview"),
    benchmark:
        P.benchmark("plot_overview")
    conda:
        ENVIRONMENT
    params:
        script=f"{SCRIPTS}/plot_overview.py",
    message:
        "Figure: correlations of all runs"
    shell:
        "python {params.script:q} --table {input} --png {output.png} --svg {output.svg}"
        " 2>&1 | tee {log}"


# Figures of one run: name -> the runs that have it.
RUN_FIGURES = {
    "loss": TRAINED,
    "correlation": runs_with(BINOMIALS),
    "minimal_pairs": runs_with(MINIMAL_PAIRS),
    "paradigms": runs_with(MINIMAL_PAIRS),
    "completions": runs_with(COMPLETIONS),
    "perplexity": runs_with(PERPLEXITY),
}


rule figures:
    input:
        [
            P.run_figure(run, figure, suffix)
            for figure, runs in RUN_FIGURES.items()
            for run in runs
            for suffix in ("png", "svg")
        ],
        expand(P.figure("overview", "{suffix}"), suffix=["png", "svg"]) if BINOMIALS else [],
