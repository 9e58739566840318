"""Results among other systems: whom they belong to there, what is sent of a run, and DICOMweb.

The DICOM node itself is a process of its own, `worker.dicom_node`. pydicom and clients are imported by those modules
alone that need them: no request of the portal does.
"""
