"""Analysis: from score files to tables, one row per checkpoint and statistic."""
