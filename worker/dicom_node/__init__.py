"""A DICOM node: takes studies from named peers, hands them to the portal as uploads, sends results back.

`python -m worker.dicom_node`, a process of its own, off by default. pynetdicom is imported here alone.

    peer ──C-STORE──> spool/incoming ──quiet──> spool/studies ──> scans ──worker──> results ──C-STORE──> peer

What is in the spool is the truth: each step writes down what it has done before the next begins, and a process that
was killed goes on where that says.
"""
