"""Training: data order, model, optimizer, and the loop over one segment of a run."""
