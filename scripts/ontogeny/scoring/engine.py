"""Log-probabilities of strings under a causal model: exact first, then fast.

Sum of log P(token | all before it) over a string's tokens after the first, natural logarithm.
Weights and logits are fp32, sums are fp64. The strings of a probe form a trie; each prefix is run
once, and the output matrix is applied once to each prefix that something follows.

How a trie is run (`plan.py`): rows of packed tokens, with depths in the trie as position ids and an
explicit mask that lets a token see its ancestors alone. Not every model family keeps to such a
mask or to position ids, so at each checkpoint some strings are also scored one by one; where the
two differ, all strings are. One by one they are right-padded without a mask, which under causal
attention is exact for every family.
"""

from collections.abc import Callable

import numpy as np
import torch
from transformers import PreTrainedModel

from ontogeny.progress import say
from ontogeny.scoring.plan import Plan, make_plan
from ontogeny.scoring.trie import Trie, build_trie, ramps

CHECKED_STRINGS = 16
SMALLEST_BATCH = 1024  # tokens; in fewer, reading the weights takes longer than using them
LOGITS = {"cpu": 2**21, "cuda": 2**29}  # most at once: what a CPU's caches bear, and 2 GB
Advance = Callable[[float], None]


def ignore(share: float) -> None:
    """Tells nobody how far the work is."""


class Scorer:
    """Scores the strings of a trie with a live model, whose weights may change between calls.

    `batch_tokens` bounds the tokens of one forward pass, whatever the number of strings; it is
    halved when memory runs out. Without `share` each string is run by itself.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        trie: Trie,
        batch_tokens: int,
        precision: str = "fp32",
        share: bool = True,
    ):
        self.model, self.trie, self.precision, self.share = model, trie, precision, share
        self.device = next(model.parameters()).device
        self.batch_tokens = bounded_batch(model, batch_tokens)
        self.plan = make_plan(trie)
        nodes, starts = trie.paths(trie.leaves[_sample(trie)])
        self.sample = make_plan(build_trie(trie.tokens[nodes], starts))

    def string_logprobs(self, advance: Advance = ignore) -> np.ndarray:
        """Log-probability of each string, in nats: float64 [strings].

        `advance` is told the share of the work that is done, part by part.
        """
        return self.node_logprobs(advance)[self.trie.leaves]

    def node_logprobs(self, advance: Advance = ignore) -> np.ndarray:
        """Log-probability of the path to each node after its first token: float64 [nodes]."""
        with torch.inference_mode():
            if self.share and not self._agrees():
                say(
                    f"{self.model.config.model_type} models don't keep the strings of a packed row "
                    "apart: each string is scored by itself, which takes longer"
                )
                self.share = False
            if self.share:
                return self.trie.sums(self._packed(self.plan, advance))
            return self.trie.sums(self._alone(self.trie, advance))

    def _agrees(self) -> bool:
        """Whether a sample of the strings scores the same packed as alone."""
        trie = self.sample.trie
        alone = trie.sums(self._alone(trie))[trie.leaves]
        if not np.isfinite(alone).all():
            raise ValueError("log-probabilities are not finite: weights so large overflow in fp32")
        try:
            packed = trie.sums(self._packed(self.sample))[trie.leaves]
        except Exception:  # takes no position ids, or no such mask: each family in its own way
            return False
        rounding = 1e-5 if self.precision == "fp32" else 2e-2
        return bool((np.abs(packed - alone) <= 1e-3 + rounding * np.abs(alone)).all())

    def _packed(self, plan: Plan, advance: Advance = ignore) -> np.ndarray:
        """Log-probability of each node after the path to its parent, 0 for first tokens: float32
        [nodes]."""
        result = torch.zeros(len(plan.trie), dtype=torch.float32, device=self.device)

        def run(first: int, last: int, at_most: int) -> None:
            edges, rows, targets, selected, inputs = _row_inputs(
                plan, first, last, last - first if self.device.type == "cpu" else at_most
            )
            selected, rows, targets, edges = map(self._to_device, (selected, rows, targets, edges))
            logits = selected_logits(self.model, selected, self.precision, **self._masked(*inputs))
            result[edges] = logits.log_softmax(dim=1)[rows, targets]

        self._in_batches(plan.rows, lambda _: plan.width, run, advance)
        return result.cpu().numpy()

    def _alone(self, trie: Trie, advance: Advance = ignore) -> np.ndarray:
        """As `_packed`, each string by itself."""
        leaves = trie.leaves[np.argsort(-trie.lengths, kind="stable")]  # longest first
        result = np.zeros(len(trie), dtype=np.float32)

        def run(first: int, last: int, at_most: int) -> None:
            nodes, starts = trie.paths(leaves[first:last])
            lengths = np.diff(starts)
            width = int(lengths[0])
            place = ramps(lengths) + np.repeat(np.arange(len(lengths)) * width, lengths)
            ids = np.zeros(len(lengths) * width, dtype=np.int64)
            ids[place] = trie.tokens[nodes]
            predicted = np.ones(len(nodes), dtype=bool)
            predicted[starts[:-1]] = False
            logits = selected_logits(
                self.model,
                self._to_device(place[predicted] - 1),
                self.precision,
                input_ids=self._to_device(ids.reshape(-1, width)),
            )
            targets = self._to_device(trie.tokens[nodes[predicted]])
            logprobs = logits.log_softmax(dim=1).gather(1, targets[:, None])[:, 0]
            result[nodes[predicted]] = logprobs.cpu().numpy()

        self._in_batches(len(leaves), lambda first: trie.depths[leaves[first]] + 1, run, advance)
        return result

    def _in_batches(
        self,
        count: int,
        width: Callable[[int], int],
        run: Callable[[int, int, int], None],
        advance: Advance,
    ) -> None:
        """Call `run(first, last, at_most)` over `count` rows, smaller parts when memory runs out.

        `width(first)` is that of the widest row from `first` on.
        """
        first = 0
        while first < count:
            at_most = max(1, self.batch_tokens // int(width(first)))
            last = min(first + at_most, count)
            try:
                run(first, last, at_most)
            except RuntimeError as error:
                if not _is_out_of_memory(error) or at_most == 1:
                    raise
            else:
                advance((last - first) / count)
                first = last
                continue
            # out of the handler, where the error would keep the tensors of the failed part alive
            self.batch_tokens = int(width(first)) * (at_most // 2)
            say(f"not enough memory: going on with {self.batch_tokens:,} tokens at once")
            torch.cuda.empty_cache()  # does nothing where there is no GPU

    def _masked(
        self, ids: np.ndarray, positions: np.ndarray, nodes: np.ndarray, ends: np.ndarray
    ) -> dict[str, torch.Tensor]:
        nodes, ends = self._to_device(nodes), self._to_device(ends)
        ancestor = (nodes[:, None, :] <= nodes[:, :, None]) & (nodes[:, :, None] < ends[:, None, :])
        mask = torch.zeros(ancestor.shape, device=self.device)  # added to the attention scores
        mask.masked_fill_(~ancestor, torch.finfo(mask.dtype).min)
        return {
            "input_ids": self._to_device(ids),
            "position_ids": self._to_device(positions),
            "attention_mask": mask[:, None],
        }

    def _to_device(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array.astype(np.int64)).to(self.device, non_blocking=True)


def selected_logits(
    model: PreTrainedModel, selected: torch.Tensor, precision: str, **inputs: torch.Tensor
) -> torch.Tensor:
    """What a model predicts after some of its input tokens: fp32 logits [selected, vocabulary].

    `selected` are places in the flattened input. With precision bf16 the model's body runs under
    autocast, its output matrix in fp32.
    """
    head = model.get_output_embeddings()
    whole = head.forward

    def on_selected(hidden: torch.Tensor) -> torch.Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            return whole(hidden.reshape(-1, hidden.shape[-1])[selected].float())

    # inside the model's own forward pass, since some families scale or cap what the matrix gives
    head.forward = on_selected
    try:
        with torch.autocast(selected.device.type, torch.bfloat16, enabled=precision == "bf16"):
            return model(**inputs, use_cache=False).logits.float()
    finally:
        del head.forward


def bounded_batch(model: PreTrainedModel, batch_tokens: int) -> int:
    """`batch_tokens`, or fewer where their logits would take too much memory."""
    device = next(model.parameters()).device.type
    logits = LOGITS.get(device, LOGITS["cuda"]) // model.config.vocab_size
    return min(batch_tokens, max(SMALLEST_BATCH, logits))


def _row_inputs(plan: Plan, first: int, last: int, rows: int) -> tuple:
    """What rows `first` to `last` of a plan need, filled up to `rows` with empty ones.

    The edges that they predict; of each edge the place among the selected tokens and the token;
    the selected places of the flattened rows; and [rows, width] each: token ids, positions, and
    nodes with their ends, by which ancestors are known (an empty place has itself alone).
    """
    trie, width = plan.trie, plan.width
    slots = plan.slots[first:last]
    slots = np.pad(slots, ((0, rows - len(slots)), (0, 0)), constant_values=-1)
    empty = slots < 0
    own = len(trie) + np.arange(slots.size).reshape(slots.shape)
    inputs = (
        np.where(empty, 0, trie.tokens[slots]),
        np.where(empty, 0, trie.depths[slots]),
        np.where(empty, own, slots),
        np.where(empty, own + 1, trie.ends[slots]),
    )
    counts = np.diff(plan.firsts[first : last + 1])
    lead = trie.depths[plan.inner[plan.firsts[first:last]]]
    selected = ramps(counts) + np.repeat(lead + width * np.arange(last - first), counts)
    bounds = plan.bounds[plan.firsts[first] : plan.firsts[last] + 1]
    edges = plan.edges[bounds[0] : bounds[-1]]
    rows_of_edges = np.repeat(np.arange(len(selected)), np.diff(bounds))
    return edges, rows_of_edges, trie.tokens[edges], selected, inputs


def _sample(trie: Trie) -> np.ndarray:
    """Some strings: the longest, neighbours in the list, which share most, and others."""
    count, half = len(trie.leaves), CHECKED_STRINGS // 2
    others = np.linspace(0, count - 1, half).astype(np.int64)
    return np.unique([trie.lengths.argmax(), *range(min(half, count)), *others])


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
