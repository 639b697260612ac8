"""Exposure: what a run has read of the stimuli by each of its checkpoints."""

from ontogeny.exposure.counts import read_exposures

__all__ = ["read_exposures"]
