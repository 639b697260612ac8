"""Stimuli as files: one module per kind of probe."""
