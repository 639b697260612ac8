"""Documents, tokenizers, tokens: from a source of text to what a run is trained on."""
