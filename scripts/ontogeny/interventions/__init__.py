"""Interventions: corpora with sentences of given items removed, or put in."""
