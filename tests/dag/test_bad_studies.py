"""A study that can't be run stops before any job, with a message that tells what to change."""

import pytest

HEADER = "Word1,Word2,Attested,OverallFreq,RelFreq"


@pytest.fixture
def complaint(elsewhere):
    """Check a study with a dry run that must fail; returns what is printed."""

    def check(study):
        elsewhere.write(study)
        done = elsewhere.call("--dry-run")
        assert done.returncode != 0, done.stdout
        assert "Traceback" not in done.stdout
        assert "Job stats" not in done.stdout
        return done.stdout

    return check


def probe(items, **keys):
    references = {"relative_frequency": {"column": "RelFreq", "attested_only": True}}
    return {"type": "binomials", "items": str(items), "references": references, **keys}


def test_keys_that_do_not_exist_are_named_with_the_nearest(complaint, tiny):
    tiny["corpora"]["toy"]["wrods"] = tiny["corpora"]["toy"].pop("words")
    tiny["runs"]["fast"]["optimizer"]["lr"] = "fast"
    tiny["arhcitectures"] = {}
    output = complaint(tiny)
    assert "corpora.toy.words: this key is required" in output
    assert "corpora.toy.wrods: unknown key; did you mean 'words'?" in output
    assert "arhcitectures: unknown key; did you mean 'architectures'?" in output


def test_names_that_are_not_defined_are_named_with_the_nearest(complaint, tiny):
    tiny["runs"]["fast"]["corpus"] = "toyy"
    tiny["runs"]["slow"]["architecture"] = "llama"
    output = complaint(tiny)
    assert "runs.fast: corpus 'toyy' is not defined; did you mean 'toy'?" in output
    assert "runs.slow: architecture 'llama' is not defined; there is: opt" in output
    assert "2 errors" in output


def test_every_bad_file_is_reported_at_once_with_its_line(complaint, tiny, tmp_path):
    def stimuli(name, *lines):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return path

    good = "bread,butter,1,5,0.9"
    column = stimuli("column.csv", "Word1,Word2,Attested,OverallFreq", "bread,butter,1,5")
    word = stimuli("word.csv", HEADER, good, "cats,,1,5,0.5")
    twice = stimuli("twice.csv", HEADER, good, "cats,dogs,1,5,0.5", good)
    number = stimuli("number.csv", HEADER, good, "cats,dogs,1,5,often")
    order = stimuli("order.csv", HEADER, "dogs,cats,1,5,0.5", "cats,dogs,1,5,0.5")
    ragged = stimuli("ragged.csv", HEADER, good, "cats,dogs,1")
    latin = tmp_path / "latin.csv"
    latin.write_bytes(f"{HEADER}\ncaf\xe9,tea,1,5,0.5\n".encode("latin1"))
    empty = stimuli("empty.csv", HEADER)
    no_text = tmp_path / "nothing.txt"
    no_text.touch()
    files = [column, word, twice, number, order, ragged, latin, empty, tmp_path / "absent.csv"]
    tiny["probes"] |= {path.stem: probe(path) for path in files}
    tiny["probes"]["prompts"] = probe(stimuli("fine.csv", HEADER, good), prompts=str(column))
    tiny["corpora"]["blank"] = {"source": "files", "files": [str(no_text)]}
    tiny["corpora"]["gone"] = {"source": "files", "files": [str(tmp_path / "*.text")]}
    output = complaint(tiny)
    for line in (
        f"probes.column: {column}: column 'RelFreq' is missing",
        f"probes.word: {word}, line 3: Word2 is empty",
        f"probes.twice: {twice}, line 4: 'bread and butter' stands already on line 2",
        f"probes.number: {number}, line 3: RelFreq is 'often', should be a number",
        f"probes.order: {order}, line 3: 'cats and dogs' stands already on line 2",
        f"probes.ragged: {ragged}, line 3: ",
        f"probes.latin: {latin}, line 2: byte 0xe9 is not UTF-8",
        f"probes.empty: {empty}: the file has no rows",
        f"probes.absent: {tmp_path / 'absent.csv'}: there is no such file",
        f"probes.prompts.prompts: {column}: column 'prompt' is missing",
        f"corpora.blank.files: {no_text} is empty",
        f"corpora.gone.files: no file matches '{tmp_path / '*.text'}'",
    ):
        assert line in output
    assert "12 errors" in output
    assert not (tmp_path / "results").exists()


def test_columns_that_toy_items_lack_are_told_before_any_job(complaint, tiny):
    tiny["probes"]["binomials"]["constraints"] = ["Anim", "Weight"]
    tiny["probes"]["binomials"]["references"]["human"] = {"column": "Humans"}
    line = "probes.binomials: the items of toy have no column 'Humans', 'Weight'; they have: Word1"
    assert line in complaint(tiny)


def test_results_that_can_not_be_written_are_told(complaint, tiny, tmp_path):
    (tmp_path / "results").write_text("a file, where the folder should be")
    output = complaint(tiny)
    assert "study: results go to results/tiny, but results is a file; move it away" in output


def test_a_run_that_is_no_mapping_is_told(complaint, tiny):
    tiny["runs"] = ["slow", "fast"]
    assert "runs: found ['slow', 'fast'], should be a mapping" in complaint(tiny)


def test_a_study_file_that_is_no_yaml_is_told(elsewhere):
    elsewhere.study.write_text("study: tiny\ncorpora: {toy: [\n")
    done = elsewhere.call("--dry-run")
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    assert "not valid JSON or YAML" in done.stdout
