"""An upload: each file of one POST is admitted, or refused with a sentence; done once for each Idempotency-Key."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from webapp.domain.errors import (
    DatabaseUnavailable,
    DecoderUnavailable,
    PortalError,
    StorageFull,
    StorageUnavailable,
    UploadRejected,
)
from webapp.domain.resources import Resources
from webapp.domain.scans import admission, segmentations, stacking, studies
from webapp.domain.scans.grouping import Grouping, group_files, is_mask
from webapp.domain.uploads import idempotency, receiving
from webapp.domain.uploads.receiving import Received, UploadedFile

MASK_MESSAGE = (
    "This is an expert's mask by its name, and no scan; the page Evaluations compares a model with such masks."
)


@dataclass(frozen=True)
class RunOptions:
    """What a person chose for a run; None: the default."""

    model: str | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class UploadOptions(RunOptions):
    """What a person chose for an upload: its runs, which of its files are one scan, and the study of all of them."""

    group: Grouping = Grouping.NONE
    study: str | None = None


@dataclass(frozen=True)
class Rejected:
    """A file that was not admitted, and why."""

    filename: str
    code: str
    message: str


@dataclass(frozen=True)
class Submission:
    """What became of the files of one POST."""

    scan_ids: tuple[str, ...]
    rejected: tuple[Rejected, ...]


class AllRejected(PortalError):
    """No file was admitted: the first one's code, sentence and status, and the list."""

    def __init__(self, first: UploadRejected, rejected: list[dict[str, str]]) -> None:
        super().__init__(first.message)
        self.code = first.code  # type: ignore[misc]
        self.status = first.status  # type: ignore[misc]
        self.rejected = rejected


def submit(
    resources: Resources, files: Sequence[UploadedFile], options: UploadOptions, key: str | None = None
) -> Submission:
    """Admit every file, or the stacks that they make, and queue the segmentations. A bad file does not stop the others.

    Raises AllRejected, UploadRejected (no file, too many), InvalidInput, StorageFull, StorageUnavailable, KeyReused,
    KeyInUse.
    """
    if not files:
        raise UploadRejected("no_file", "The request has no file; send one or more in the form field `file`.")
    most = _most_files(resources, options.group)
    if len(files) > most:
        raise UploadRejected("too_many_files", f"At most {most} files are taken at once; send fewer.")
    if options.study:
        options = replace(options, study=studies.clean_name(options.study))
    names = [file.filename for file in files]
    with ExitStack() as stack:
        received: list[Received | UploadRejected] = []
        for file in files:
            try:
                received.append(stack.enter_context(receiving.received(resources, file.stream, file.filename)))
            except UploadRejected as error:
                received.append(error)
        answer = idempotency.once(
            resources,
            scope="POST /api/v1/scans",
            key=key,
            body_sha256=_digest(names, received, options),
            work=lambda: _admit_all(resources, names, received, options),
        )
    rejected = tuple(Rejected(names[index], code, message) for index, code, message in answer["rejected"])
    if not answer["scans"]:
        first = rejected[0]
        raise AllRejected(UploadRejected(first.code, first.message), [vars(item) for item in rejected])
    return Submission(tuple(answer["scans"]), rejected)


def submit_run(resources: Resources, scan_id: str, options: RunOptions, key: str | None = None) -> str:
    """Queue another run of a stored scan; its id. Raises NotFound, InvalidInput, KeyReused, KeyInUse."""
    body = json.dumps([options.model, options.threshold]).encode()
    answer = idempotency.once(
        resources,
        scope=f"POST segmentations of {scan_id}",
        key=key,
        body_sha256=hashlib.sha256(body).hexdigest(),
        work=lambda: {
            "segmentation": segmentations.request(resources, scan_id, model=options.model, threshold=options.threshold)
        },
    )
    return str(answer["segmentation"])


def _most_files(resources: Resources, grouping: Grouping) -> int:
    """Files of one request; of files that become stacks as many as a stack has slices."""
    settings = resources.settings
    if grouping is Grouping.NONE:
        return settings.max_files_per_upload
    return max(settings.max_files_per_upload, settings.max_slices)


def _admit_all(
    resources: Resources, names: Sequence[str], received: Sequence[Received | UploadRejected], options: UploadOptions
) -> dict[str, Any]:
    """Ids and codes only: this is what an Idempotency-Key keeps."""
    scan_ids: list[str] = []
    rejected: list[tuple[int, PortalError]] = []
    taken: list[tuple[int, Received]] = []  # with their places in the request
    for index, upload in enumerate(received):
        if isinstance(upload, UploadRejected):
            rejected.append((index, upload))
        elif options.group is not Grouping.NONE and is_mask(names[index]):
            rejected.append((index, UploadRejected("mask", MASK_MESSAGE)))
        else:
            taken.append((index, upload))
    for group in group_files([names[index] for index, _ in taken], options.group):
        files = [taken[place] for place in group.places]
        try:
            admitted = _admit_group(resources, [upload for _, upload in files], group.name, options)
            scan_ids += [accepted.scan_id for accepted in admitted.scans]
            rejected += [(files[place][0], error) for place, error in admitted.refused]
        except UploadRejected as error:
            rejected += [(index, error) for index, _ in files]
        except (StorageFull, StorageUnavailable, DecoderUnavailable, DatabaseUnavailable) as error:
            # The machine's fault: an error where nothing is stored yet, else the files before it stay admitted.
            if not scan_ids:
                raise
            rejected += [(index, error) for index, _ in files]
    rejected.sort(key=lambda item: item[0])
    return {"scans": scan_ids, "rejected": [(index, error.code, error.message) for index, error in rejected]}


def _admit_group(
    resources: Resources, uploads: Sequence[Received], name: str, options: UploadOptions
) -> stacking.AdmittedGroup:
    """The scans of files that belong together, of one file alone mostly."""
    chosen: dict[str, Any] = {"model": options.model, "threshold": options.threshold, "study": options.study}
    if len(uploads) > 1:
        return stacking.admit_group(resources, uploads, name, **chosen)
    accepted = admission.admit(resources, uploads[0], **chosen)
    return stacking.AdmittedGroup((accepted,), ())


def _digest(names: Sequence[str], received: Sequence[Received | UploadRejected], options: UploadOptions) -> str:
    """What the client sent, apart from the multipart boundary, which differs at every try."""
    contents = [item.sha256 if isinstance(item, Received) else item.code for item in received]
    said = [names, contents, options.model, options.threshold]
    if options.group is not Grouping.NONE:
        said.append(options.group)
    if options.study:
        said.append(["study", options.study])
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
