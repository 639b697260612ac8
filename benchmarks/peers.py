"""Other ways to score the same strings: padded batches, minicons, lm-evaluation-harness, and one
string at a time in float64."""

import tempfile
import time
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel


def padded_logprobs(
    model: PreTrainedModel, rows: list[torch.Tensor], batch_size: int, pad_id: int
) -> np.ndarray:
    """Log-probability of each string in padded batches, summed in fp32: float32 [strings]."""
    sums = []
    with torch.inference_mode():
        for first in range(0, len(rows), batch_size):
            batch = rows[first : first + batch_size]
            lengths = torch.tensor([len(row) for row in batch])
            ids = pad_sequence(batch, batch_first=True, padding_value=pad_id)
            ids = functional.pad(ids, (0, -ids.shape[1] % 8), value=pad_id)
            mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            logprobs = logits[:, :-1].log_softmax(dim=-1)
            logprobs = logprobs.gather(2, ids[:, 1:, None])[..., 0] * mask[:, 1:]
            sums.append(logprobs.sum(dim=1))
    return torch.cat(sums).numpy()


def minicons_scorer(folder: Path):
    """minicons' scorer of a model folder, in fp32."""
    from minicons.scorer import IncrementalLMScorer
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return IncrementalLMScorer(model, "cpu", tokenizer=tokenizer)


def minicons_logprobs(scorer, texts: list[str], batch_size: int) -> np.ndarray:
    """Log-probability of each string; the tokenizer itself puts BOS."""
    sums = []
    for first in range(0, len(texts), batch_size):
        batch = texts[first : first + batch_size]
        sums += scorer.sequence_score(batch, reduction=lambda x: x.double().sum().item())
    return np.array(sums)


def plain_logprobs(model: PreTrainedModel, rows: list[torch.Tensor]) -> np.ndarray:
    """One string at a time; log_softmax and sum in float64, whatever the weights are in."""
    sums = []
    with torch.inference_mode():
        for row in rows:
            logits = model(input_ids=row[None], use_cache=False).logits[0, :-1].double()
            sums.append(logits.log_softmax(dim=1).gather(1, row[1:, None]).sum())
    return torch.stack(sums).cpu().numpy()


class LmEval:
    """One run of lm-evaluation-harness: `seconds` by part, `accuracies` and `logprobs` (good, bad)
    by paradigm.

    Its own task for BLiMP, with only the data set replaced by local files. A space goes before
    each sentence, which byte-level BPE with `prefix_space` adds by itself otherwise.
    """

    def __init__(self, model: Path, data: Path, paradigms: list[str], batch_size: int):
        import datasets
        import lm_eval
        import yaml
        from lm_eval.evaluator import evaluate
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager

        class Timed(HFLM):
            seconds = 0.0

            def loglikelihood(self, requests):
                start = time.perf_counter()
                result = super().loglikelihood(requests, disable_tqdm=True)
                self.seconds += time.perf_counter() - start
                return result

        template = Path(lm_eval.__file__).parent / "tasks" / "blimp" / "_template_yaml"
        template = yaml.safe_load(template.read_text(encoding="utf-8"))
        marks = [time.perf_counter()]
        live = Timed(pretrained=str(model), device="cpu", dtype="float32", batch_size=batch_size)
        marks.append(time.perf_counter())
        datasets.disable_progress_bars()
        with tempfile.TemporaryDirectory() as cache:
            tasks = [
                {
                    **template,
                    "task": name,
                    "dataset_path": "json",
                    "dataset_kwargs": {
                        "data_files": {"train": str(data / f"{name}.jsonl")},
                        "cache_dir": cache,
                    },
                }
                for name in paradigms
            ]
            tasks = TaskManager(include_defaults=False).load(tasks)
            marks.append(time.perf_counter())
            found = evaluate(live, tasks, bootstrap_iters=0, log_samples=True)
        marks.append(time.perf_counter())
        opening, reading, evaluating = np.diff(marks)
        self.seconds = {
            "model": opening,
            "tasks": reading,
            "scoring": live.seconds,
            "other": evaluating - live.seconds,
        }
        self.accuracies = {name: found["results"][name]["acc,none"] for name in paradigms}
        self.logprobs = {
            name: [
                [logprob for logprob, _ in sample["filtered_resps"]]
                for sample in sorted(found["samples"][name], key=lambda sample: sample["doc_id"])
            ]
            for name in paradigms
        }


@contextmanager
def compiled_once():
    """lm-eval compiles its template anew for each field of each item; here, once."""
    import lm_eval.utils

    environment = lm_eval.utils.env
    environment.from_string = lru_cache(None)(environment.from_string)
    try:
        yield
    finally:
        del environment.from_string


@contextmanager
def nothing():
    """The harness as it is."""
    yield
