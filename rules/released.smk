# Scores that someone has published: per-checkpoint CSVs come in, in our columns.
