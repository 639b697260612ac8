"""What `score.py` and `score_segment.py` refuse, with a line that tells what and where."""

from pathlib import Path

import pytest
import torch
from calling import (
    POSITIONS,
    QUESTIONS,
    SHAPE,
    TEXTS,
    VOCABULARY,
    random_model,
    save_model,
    the_error,
    write_rows,
)
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertLMHeadModel,
)

from ontogeny.corpus.tokenizer import make_characters, save_tokenizer
from ontogeny.files import read_json, write_json
from ontogeny.origins import record_path, sha256
from ontogeny.study.models import CharacterTokenizer

pytestmark = pytest.mark.workflow


# ---------------------------------------------------------------------------- bad stimuli


GOOD_PAIR = ("The dogs bark.", "The dogs barks.")


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("", "Dogs barks.", "line 3: good is empty"),
        ("Dogs bark.", " ", "line 3: bad is empty"),
        ("Dogs bark.", "Dogs bark.", "line 3: good and bad are the same sentence 'Dogs bark.'"),
    ],
)
def test_a_pair_that_can_not_be_scored_is_named(opt, complaint, tmp_path, good, bad, message):
    probe = write_rows(tmp_path / "pairs.csv", ("good", "bad"), GOOD_PAIR, (good, bad))
    assert complaint(opt, probe).startswith(f"error: {probe}, {message}")


def test_a_sentence_longer_than_the_models_positions_is_named(opt, complaint, score, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(opt)
    sentence = " b" * (POSITIONS - 1)
    assert len(tokenizer(sentence)["input_ids"]) == POSITIONS
    probe = write_rows(tmp_path / "fits.csv", ("good", "bad"), GOOD_PAIR, ("so", sentence))
    score(opt, probe)
    (tmp_path / "scores" / "out.csv").unlink()
    probe = write_rows(tmp_path / "long.csv", ("good", "bad"), GOOD_PAIR, ("so", sentence + " b"))
    message = complaint(opt, probe)
    assert f"{sentence + ' b'!r} has {POSITIONS + 1} tokens, more than the {POSITIONS}" in message


def test_a_character_that_the_tokenizer_lacks_is_named(complaint, tmp_path):
    folder = tmp_path / "gpt2"
    spec = CharacterTokenizer(type="characters", corpus="x")
    tokenizer = make_characters(spec, ["abcdefghijklmnopqrstuvwxyz. TD"])
    random_model("gpt2", tokenizer.get_vocab_size()).save_pretrained(folder)
    save_tokenizer(tokenizer, folder / "tokenizer.json", folder / "tokenizer_config.json")
    probe = write_rows(tmp_path / "pairs.csv", ("good", "bad"), GOOD_PAIR, ("The caf\u00e9", "is"))
    assert "can't represent '\u00e9' in 'The caf\u00e9'" in complaint(folder, probe)


@pytest.mark.parametrize(
    ("lines", "args", "message"),
    [
        ([("good", "bad"), GOOD_PAIR], ("--temperature", 1), "--temperature is not for minimal_p"),
        ([("good", "bad"), GOOD_PAIR], ("--max-tokens", 9), "--max-tokens is not for minimal_p"),
        ([("prompt", "answer"), ("a", "b")], ("--max-prompts", 9), "--max-prompts is not for comp"),
        ([("prompt", "answer"), ("a", "b")], ("--samples", 2), "`samples` is for `decoding: sampl"),
        ([("Word1", "Word2"), ("a", "b")], ("--ignore-case",), "--ignore-case is not for binomial"),
        ([("prompt", "answer"), ("a", "")], (), "line 2: answer is empty"),
        ([("Word1", "Word2"), ("b", "B")], (), "line 2: both words are 'b'"),
        ([("one", "two"), ("b", "a")], ("--word1", "one"), "with the header 'one', 'two'; stimuli"),
        ([("one", "two"), ("b", "a")], (), "no probe reads a file with the header 'one', 'two'"),
    ],
)
def test_what_does_not_fit_the_probe_is_told(opt, complaint, tmp_path, lines, args, message):
    assert message in complaint(opt, write_rows(tmp_path / "items.csv", *lines), *args)


def test_a_completion_longer_than_the_models_positions_is_told(opt, complaint, tmp_path):
    probe = write_rows(tmp_path / "questions.csv", *QUESTIONS)
    message = complaint(opt, probe, "--max-new-tokens", POSITIONS)
    assert "lower max_new_tokens" in message


def test_text_that_can_not_be_read_is_named(opt, complaint, tmp_path):
    probe = tmp_path / "nothing.txt"
    probe.write_text("\n \n")
    assert complaint(opt, probe).startswith(f"error: {probe}: there is no text in it")
    probe.write_bytes(b"bread and butter\ncaf\xe9\n")
    message = complaint(opt, probe)
    assert message.startswith(f"error: {probe}, line 2: byte 0xe9") and "not UTF-8" in message


# ---------------------------------------------------------------------------- bad models


@pytest.fixture
def probe(tmp_path):
    return write_rows(tmp_path / "pairs.csv", ("good", "bad"), GOOD_PAIR)


def change_weights(folder, change):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})
    return sorted(tensors)


def test_weights_that_are_not_finite_are_named(opt, complaint, probe):
    name = "model.decoder.layers.0.fc1.weight"

    def spoil(tensors):
        tensors[name][3, 4] = float("nan")

    change_weights(opt, spoil)
    assert complaint(opt, probe) == f"error: {opt}: tensor {name!r} holds NaN or infinity"


@pytest.mark.parametrize(
    "lines",
    [
        [("good", "bad"), GOOD_PAIR],
        [("Word1", "Word2"), ("cats", "dogs")],
        [("prompt", "answer"), ("cats and", " dogs")],
        None,
    ],
    ids=["minimal_pairs", "binomials", "completions", "perplexity"],
)
def test_scores_that_are_not_finite_are_told_and_not_written(
    tokenizer_folder, complaint, tmp_path, lines
):
    folder = save_model(tmp_path / "gpt2", "gpt2", tokenizer_folder)

    def enlarge(tensors):
        tensors["transformer.h.0.mlp.c_fc.weight"].mul_(1e30)

    change_weights(folder, enlarge)
    probe = tmp_path / "items.csv"
    if lines is None:
        probe = probe.with_suffix(".txt")
        probe.write_text("\n".join(TEXTS), encoding="utf-8")
    else:
        write_rows(probe, *lines)
    assert "finite" in complaint(folder, probe)


def test_a_weight_that_is_missing_is_named(opt, complaint, probe):
    name = "model.decoder.layers.0.fc1.weight"
    change_weights(opt, lambda tensors: tensors.pop(name))
    message = complaint(opt, probe)
    assert message.startswith(f"error: {opt}: its weights lack tensor {name!r}")


def test_a_weight_of_another_shape_is_told(opt, complaint, probe):
    name = "model.decoder.layers.0.fc1.weight"

    def cut(tensors):
        tensors[name] = tensors[name][:-1].clone()

    change_weights(opt, cut)
    message = f"tensor {name!r} has shape (63, 32), but config.json makes it (64, 32)"
    assert complaint(opt, probe) == f"error: {opt}: {message}"


@pytest.mark.parametrize("damage", ["cut", "header", "empty"])
def test_damaged_safetensors_are_told(opt, complaint, probe, damage):
    path = opt / "model.safetensors"
    whole = path.read_bytes()
    header = bytes(byte ^ 0xFF for byte in whole[:64])
    damaged = {"cut": whole[: len(whole) // 2], "header": header + whole[64:], "empty": b""}
    path.write_bytes(damaged[damage])
    told = f"error: {opt}: can't be loaded as a causal language model (SafetensorError: "
    assert complaint(opt, probe).startswith(told)


def test_pickled_weights_are_not_read(opt, complaint, probe):
    """A pickle can run any code when it is read; whoever has one must convert it first."""
    path = opt / "model.safetensors"
    torch.save(load_file(path), opt / "pytorch_model.bin")
    path.unlink()
    told = f"error: {opt}: has no safetensors (model.safetensors); older formats can run code"
    assert complaint(opt, probe).startswith(told)


@pytest.mark.parametrize("vocabulary", [VOCABULARY - 1, VOCABULARY + 1024])
@pytest.mark.parametrize("kind", ["pairs", "text"])
def test_a_vocabulary_that_is_not_the_tokenizers_is_told(
    tokenizer_folder, complaint, tmp_path, probe, vocabulary, kind
):
    folder = save_model(tmp_path / "gpt2", "gpt2", tokenizer_folder, vocabulary)
    if kind == "text":
        probe = tmp_path / "held-out.txt"
        probe.write_text("\n".join(TEXTS), encoding="utf-8")
    message = complaint(folder, probe)
    assert f"a vocabulary of {vocabulary:,}, the tokenizer one of {VOCABULARY:,}" in message


def test_an_encoder_is_refused(tokenizer_folder, complaint, tmp_path, probe):
    folder = tmp_path / "bert"
    torch.manual_seed(7)
    BertLMHeadModel(BertConfig(**SHAPE, vocab_size=VOCABULARY)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    assert "bert models look ahead" in complaint(folder, probe)


def test_entries_that_the_tokenizer_lacks_are_told(tokenizer_folder, score, tmp_path, probe):
    """Models are padded to round numbers; or it is another's tokenizer, which only people see."""
    folder = save_model(tmp_path / "gpt2", "gpt2", tokenizer_folder, VOCABULARY + 57)
    _, done = score(folder, probe)
    (line,) = [line for line in done.errors.splitlines() if "vocabulary" in line]
    told = f"{folder}: has a vocabulary of 457, the tokenizer one of 400; unless its own is padded"
    assert line.startswith(told)
    _, done = score(save_model(tmp_path / "same", "gpt2", tokenizer_folder), probe)
    assert "vocabulary" not in done.errors


def test_folders_that_hold_no_model_or_no_tokenizer_are_told(
    checkpoint, tokenizer_folder, complaint, tmp_path, probe
):
    message = complaint(tmp_path / "nowhere", probe, "--tokenizer", tokenizer_folder)
    assert message.startswith(f"error: {tmp_path / 'nowhere'}: there is no such folder")
    message = complaint(checkpoint, probe)
    assert message.startswith(f"error: {checkpoint}: there is no tokenizer.json; name the tok")
    message = complaint(checkpoint, probe, "--tokenizer", tmp_path / "nowhere")
    assert message == f"error: {tmp_path / 'nowhere'}: there is no such folder"
    nothing = tmp_path / "nothing.csv"
    message = complaint(checkpoint, nothing, "--tokenizer", tokenizer_folder)
    assert message == f"error: {nothing}: there is no such file"


# ---------------------------------------------------------------------------- score_segment.py


@pytest.fixture
def segment(project, call, tmp_path):
    """Score the first segment of a run anew, by hand, in a copy of the finished study."""
    for path in project.results.glob("scores/*/fast/*.csv"):
        path.unlink()

    def segment(args=()):
        results = Path("results", "tiny")
        run, corpus = results / "runs" / "fast", results / "corpora" / "toy"
        tokenizer, index = results / "tokenizers" / "bpe", results / "index" / "grammar"
        held_out = results / "tokens" / "toy" / "bpe"
        assert (project.folder / corpus).is_dir()
        done = call(
            project.folder / "scripts" / "score_segment.py",
            *("--name", "fast", "--manifest", run / "segments" / "0000.manifest.json"),
            *("--study-folder", results, "--records", tmp_path / "records.json"),
            *("--tokenizer", tokenizer / "tokenizer.json", "--block-size", 32),
            *("--probe", "grammar", '{"type": "minimal_pairs", "pairs_from": "toy"}'),
            index / "bpe.safetensors",
            *("--perplexity", "held-out", '{"type": "perplexity"}', "toy", held_out),
            *args,
            folder=project.folder,
        )
        made = {path.relative_to(project.results) for path in project.results.rglob("*.tmp")}
        assert made == set()
        made = sorted(project.results.glob("scores/*/fast/*.csv"))
        return done, [f"{path.parent.parent.name} {path.stem[-3:]}" for path in made]

    return segment


def weights_of(project, step, change=None):
    """The checkpoint's file; with `change` its tensors are changed, and the manifest told."""
    run = project.results / "runs" / "fast"
    path = run / "checkpoints" / f"step-{step:08d}" / "model.safetensors"
    if change is not None:
        change(path)
        manifest = run / "segments" / "0000.manifest.json"
        content = read_json(manifest)
        for entry in content["checkpoints"]:
            if entry["step"] == step:
                entry["sha256"] = sha256(path)
        write_json(manifest, content)
        record_path(manifest).unlink()
    return path


def test_a_segment_by_hand_is_what_the_study_made(finished, project, segment):
    done, made = segment()
    assert done.code == 0, done.errors
    steps = ("000", "004", "050", "100")
    assert made == [f"{probe} {step}" for probe in ("grammar", "held-out") for step in steps]
    for path in project.results.glob("scores/grammar/fast/*.csv"):
        assert (
            path.read_bytes() == (finished.folder / path.relative_to(project.folder)).read_bytes()
        )


def test_an_index_made_with_another_tokenizer_is_refused(project, segment):
    tokenizer = project.results / "tokenizers" / "bpe" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    record_path(tokenizer).unlink()
    done, made = segment()
    assert (done.code, made) == (1, [])
    message = "error: results/tiny/index/grammar/bpe.safetensors: was made with another tokenizer"
    assert done.errors.startswith(message) and done.errors.count("\n") == 1


def test_a_checkpoint_that_training_did_not_write_is_refused(project, segment):
    path = weights_of(project, 4)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    done, made = segment()
    assert done.code == 1
    assert made == ["grammar 000", "held-out 000"]  # whole, and of a checkpoint before it
    name = path.relative_to(project.folder)
    assert done.errors.startswith(f"error: {name}: is not what training wrote (the sha256 in")
    assert done.errors.count("\n") == 1


def spoil(tensors):
    next(iter(tensors.values())).view(-1)[0] = float("nan")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: change_weights(path.parent, spoil), "holds NaN or infinity"),
        (
            lambda path: change_weights(path.parent, lambda tensors: tensors.popitem()),
            "is missing",
        ),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-100]),
            "is missing, damaged or cut short",
        ),
        (lambda path: path.write_bytes(b"{}"), "is missing, damaged or cut short"),
    ],
    ids=["NaN", "tensor", "cut", "header"],
)
def test_weights_that_no_model_has_are_refused(project, segment, change, message):
    path = weights_of(project, 0, change)
    done, made = segment()
    assert (done.code, made) == (1, [])
    assert done.errors.startswith(f"error: {path.relative_to(project.folder)}: ")
    assert message in done.errors and done.errors.count("\n") == 1


def test_a_model_of_another_vocabulary_is_refused_in_a_segment(project, segment):
    config = weights_of(project, 0).with_name("config.json")
    write_json(config, {**read_json(config), "vocab_size": VOCABULARY + 1024})
    done, made = segment()
    assert (done.code, made) == (1, [])
    assert the_error(done).startswith("error: the model has a vocabulary of 1,424")
