"""Starting a run on a stored scan, once for each Idempotency-Key. For the API and the form."""

import hashlib
import json

from webapp.domain.resources import Resources
from webapp.domain.scans import segmentations
from webapp.domain.uploads import idempotency


def start_run(
    resources: Resources, scan_id: str, *, model: str | None, threshold: float | None, key: str | None
) -> str:
    """The id of the run. Raises NotFound, InvalidInput, KeyReused, KeyInUse."""
    body = json.dumps([model, threshold]).encode()
    answer = idempotency.once(
        resources,
        scope=f"POST segmentations of {scan_id}",
        key=key,
        body_sha256=hashlib.sha256(body).hexdigest(),
        work=lambda: {"segmentation": segmentations.request(resources, scan_id, model=model, threshold=threshold)},
    )
    return str(answer["segmentation"])
