"""A model over a data set: every slice compared with its expert mask, and what the slices add up to.

`scoring` has one slice, `run` all of them, `summary` and `report` what they add up to, `predictions` the same without
masks; `ml.reports` writes it. How each metric is computed stands in docs/evaluation.md. The same run gives the same
numbers, but for the times.
"""
