"""Dry runs of studies with completions: which comparisons of runs by size they have."""

QUESTIONS = "prompt,answer\nThe t,h\n"


def with_questions(study, folder, runs):
    (folder / "questions.csv").write_text(QUESTIONS)
    probe = {"type": "completions", "items": str(folder / "questions.csv")}
    return study | {"probes": {"questions": probe}, "runs": runs}


def test_runs_on_each_corpus_have_a_figure(elsewhere, tiny, tmp_path):
    slow, fast = tiny["runs"].values()
    tiny["corpora"]["more"] = {"source": "toy", "words": 30_000}
    runs = {"a-1": slow, "a-2": {**slow, "seed": 2}, "b": {**fast, "corpus": "more"}}
    elsewhere.write(with_questions(tiny, tmp_path, runs))
    counts = elsewhere.dry_run("figures").counts
    figures = {"plot_capacity": 1, "plot_capacity_toy": 1, "plot_capacity_more": 1}
    assert {"capacity": 1, "completions": 3} | figures == {
        name: count for name, count in counts.items() if "capacity" in name or name == "completions"
    }


def test_one_run_has_the_tables_and_no_figure_of_several(elsewhere, tiny, tmp_path):
    elsewhere.write(with_questions(tiny, tmp_path, {"slow": tiny["runs"]["slow"]}))
    assert elsewhere.dry_run("tables").counts["capacity"] == 1
    assert not [name for name in elsewhere.dry_run("figures").counts if "capacity" in name]
