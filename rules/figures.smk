# Figures, each from tables that are targets themselves, drawn by scripts/plot.py.


for figure, (category, tables, _) in RUN_FIGURES.items():

    rule:
        name:
            f"plot_{figure}"
        input:
            [P.run_table("{run}", table) for table in tables],
        output:
            png=report(
                P.run_figure("{run}", figure, "png"), category=category, labels={"run": "{run}"}
            ),
            svg=P.run_figure("{run}", figure, "svg"),
        log:
            P.log(f"plot_{figure}/{{run}}"),
        benchmark:
            P.benchmark(f"plot_{figure}/{{run}}")
        conda:
            ENVIRONMENT
        params:
            script=f"{SCRIPTS}/plot.py",
            figure=figure,
        message:
            f"Figure: {figure} of {{wildcards.run}}"
        shell:
            "python {params.script:q} {params.figure} --tables {input} --png {output.png}"
            " --svg {output.svg} 2>&1 | tee {log}"


for figure, (category, tables) in STUDY_FIGURES.items():

    rule:
        name:
            f"plot_{figure}"
        input:
            tables,
        output:
            png=report(P.figure(figure, "png"), category=category, labels={"run": "all"}),
            svg=P.figure(figure, "svg"),
        log:
            P.log(f"plot_{figure}"),
        benchmark:
            P.benchmark(f"plot_{figure}")
        conda:
            ENVIRONMENT
        params:
            script=f"{SCRIPTS}/plot.py",
            figure=DRAWN_AS.get(figure, figure),
        message:
            f"Figure: {figure} of the study"
        shell:
            "python {params.script:q} {params.figure} --tables {input} --png {output.png}"
            " --svg {output.svg} 2>&1 | tee {log}"


rule figures:
    input:
        [
            P.run_figure(run, figure, suffix)
            for figure, (_, _, runs) in RUN_FIGURES.items()
            for run in runs
            for suffix in ("png", "svg")
        ],
        [P.figure(figure, suffix) for figure in STUDY_FIGURES for suffix in ("png", "svg")],
