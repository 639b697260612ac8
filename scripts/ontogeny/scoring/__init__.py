"""Scoring: stimuli, their tokenised index, and the log-probabilities that checkpoints give."""
