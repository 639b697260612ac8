"""Figures, each made from a table: polars frames in, plotnine plots out.

Nothing outside this package imports plotnine (its import takes about two seconds).
"""
