"""Metrics of segmentations. `registry` lists every one that is shown anywhere; the other modules compute them.

Plain arrays and counts in, numbers out: nothing here knows files, models or reports.
"""
