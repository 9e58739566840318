"""DICOM, read with pydicom in the sandbox and nowhere else; encoded frames with imagecodecs.

instances: a file -> its frames and their places in the patient, or why it is refused. series: frames -> the volumes
that they are. pixels: encoded frames -> numbers. copies: what of a file is kept. reader: all of it, to a scan.
"""
