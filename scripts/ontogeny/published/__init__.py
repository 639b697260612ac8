"""Runs that were not trained here: published checkpoints, published scores, and publishing one's
own."""
