"""An engine over a data set with expert masks: figures, tables, pictures and a report. Never imports torch.

`scoring` one slice, `run` all of them, `summary` what they add up to, `figures` and `report` what people look at. Every
figure's rule stands in docs/evaluation.md; the same run gives the same numbers, but for the times.
"""
