"""Train small language models from scratch and watch what they learn, checkpoint by checkpoint.

The library behind the scripts, grouped by stage. Dependencies point one way:
study <- corpus <- training, scoring <- analysis <- figures.
"""

import os

# Where a repository has no safetensors, `transformers` would send its name and the token to a
# service that converts it, on another host. Jobs that are started here inherit this.
os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"

__version__ = "0.1.0"
