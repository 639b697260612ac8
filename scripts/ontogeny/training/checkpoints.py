"""The checkpoints of one segment: written, hashed, and never two alike."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ontogeny.origins import sha256
from ontogeny.paths import Paths
from ontogeny.study.runs import Run
from ontogeny.study.schedule import checkpoint_name
from ontogeny.training.model import save_checkpoint


@dataclass
class Checkpoints:
    """Writes the checkpoints of a run and keeps an entry of each for the manifest.

    `last_sha256` is the hash of the checkpoint that the segment began from.
    """

    model: PreTrainedModel
    run: Run
    name: str
    paths: Paths
    last_sha256: str | None = None
    entries: list[dict[str, Any]] = field(default_factory=list)

    def save(self, step: int) -> None:
        """Write the checkpoint of a step. Raises ValueError if it equals an earlier one."""
        weights = Path(self.paths.checkpoint(self.name, step, "model.safetensors"))
        config = Path(self.paths.checkpoint(self.name, step, "config.json"))
        save_checkpoint(self.model, weights, config)
        digest = sha256(weights)
        if digest in [self.last_sha256, *(entry["sha256"] for entry in self.entries)]:
            raise ValueError(f"{weights}: equals an earlier checkpoint; the model does not change")
        self.last_sha256 = digest
        self.entries.append(
            {
                "checkpoint": checkpoint_name(step),
                "step": step,
                "tokens": step * self.run.tokens_per_step,
                "sha256": digest,
            }
        )
