# The Hub: checkpoints of published models come in, checkpoints of one's own go out.
