"""Train small language models from scratch and watch what they learn, checkpoint by checkpoint.

The library behind the scripts, grouped by stage. Dependencies point one way:
study <- corpus <- training, scoring <- analysis <- figures.
"""

__version__ = "0.1.0"
