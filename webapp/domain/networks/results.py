"""What of a run goes to an archive: its mask as DICOM SEG, then its figures as SR, which refers to the SEG."""

from pathlib import Path

from ml.exports.facts import Kind
from webapp.domain.errors import NotAssessed
from webapp.domain.exports import dicom_objects
from webapp.domain.networks.identity import Identity, restore
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup

# In the order in which they are sent: whoever finds the report finds the mask that it refers to.
KINDS = (Kind.SEGMENTATION, Kind.MEASUREMENTS)


def write_objects(
    resources: Resources, scan_id: str, run_id: str | None, folder: Path, identity: Identity | None
) -> list[Path]:
    """Write a run's objects to a folder as `SCAN-KIND.dcm`, and give their paths, of `KINDS`: all or none.

    run_id: None for the shown run. identity: of the patient and study; None leaves the pseudonym. Raises NotFound,
    NotReady, NoGeometry, NotAssessed (nothing is sent without a verdict: in an archive the mask would pass for tumor),
    and what `dicom_objects.write` raises.
    """
    with resources.database.read() as session:
        scan = lookup.get(session, scan_id)
        run = lookup.finished_run(session, scan, run_id)
        try:
            wanted = dicom_objects.source(scan, run)
        except NotAssessed as error:
            raise NotAssessed(
                "The run has no verdict and is not sent: its mask would pass for a tumor there."
            ) from error
    paths = [folder / f"{scan_id}-{kind.value}.dcm" for kind in KINDS]
    try:
        for path in paths:
            path.touch(mode=0o600)
        dicom_objects.write(resources, wanted, dict(zip(KINDS, paths, strict=True)))
        if identity is not None:
            for path in paths:
                restore(path, identity)
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
    return paths
