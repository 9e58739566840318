"""Volumes: where a scan's voxels lie in a patient, in mm, and the axial slices that are made of them.

NumPy alone: no reader, no torch and no SciPy in here. Patient axes are those of NIfTI (RAS: x to the right, y to the
front, z to the head).
"""
