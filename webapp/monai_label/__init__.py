"""The part of MONAI Label's REST protocol that 3D Slicer's plug-in needs to segment and to submit labels, under /monai.

MONAI Label 0.8.5, https://github.com/Project-MONAI/MONAILabel (monailabel/endpoints). A session and an image are scans
of the portal: what a viewer sends is in the history as any upload, and an id is a scan's. Off unless a setting turns
it on: then every address answers as if it were not there.
"""

from webapp.monai_label import datastore, inference, login
from webapp.monai_label.blueprint import bp

__all__ = ["bp", "datastore", "inference", "login"]
