"""Results as DICOM objects that refer to the series they were found in.

Written by child processes of the sandbox (`ml.sandbox.entries.export`), since the series' headers are a stranger's;
whoever asks for one imports `making` alone, which loads neither pydicom nor highdicom.
"""
