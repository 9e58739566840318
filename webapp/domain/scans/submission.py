"""An upload: each file of one POST is admitted, or refused with a sentence; done once for each Idempotency-Key."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ml.datasets.file_names import ANNOTATION_SUFFIXES, suffix_of
from ml.scans import Limits, ScanError
from ml.scans.formats import find_reader
from webapp.domain.errors import (
    DatabaseUnavailable,
    DecoderUnavailable,
    NotFound,
    PortalError,
    StorageFull,
    StorageUnavailable,
    UploadRejected,
)
from webapp.domain.resources import Resources
from webapp.domain.scans import (
    admission,
    discs,
    segmentations,
    sequence_groups,
    series,
    stacking,
    studies,
    truth,
    visits,
    zips,
)
from webapp.domain.scans.grouping import Grouping, group_files
from webapp.domain.scans.mask_pairs import MaskPairs, is_outlines, pair_masks
from webapp.domain.tracing import asked
from webapp.domain.uploads import archives, idempotency, receiving
from webapp.domain.uploads.receiving import Received, UploadedFile

# DICOM files of one request, in slices of the largest scan: an examination has a dozen series, some of thousands.
MOST_SERIES = 16

OUTLINES = (
    "This is text (annotations, outlines or boxes, or a table) and no picture: export outlines as masks (PNG, TIFF or"
    " NIfTI), or evaluate the whole data set on Evaluations, which reads COCO's."
)
SIDECAR = (
    "This describes the volume of its name, as dcm2niix and BIDS write it, and is not needed: which sequence that is"
    " is told by the volume's own header and name."
)
NO_MASK = "This cannot be read as a mask: {reason} Send masks, and nothing else with them."
SLICE_REFUSED = "The slice of this expert's mask was not taken, so the mask was not either."


@dataclass(frozen=True)
class RunOptions:
    """What a person chose for a run; None: the default."""

    model: str | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class UploadOptions(RunOptions):
    """What a person chose for an upload: its runs, which of its files are one scan, the study of all of them, and the
    number, from 1, of the volume of files that hold several."""

    group: Grouping = Grouping.NONE
    study: str | None = None
    volume: int | None = None


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

    def __init__(self, rejected: Sequence[Rejected]) -> None:
        first = UploadRejected(rejected[0].code, rejected[0].message)
        super().__init__(first.message)
        self.code = first.code  # type: ignore[misc]
        self.status = first.status  # type: ignore[misc]
        self.rejected = rejected


@asked("upload")
def submit(
    resources: Resources, files: Sequence[UploadedFile], options: UploadOptions, key: str | None = None
) -> Submission:
    """Admit every file, or the stacks that they make, and queue the segmentations. A bad file does not stop the others.

    A zip is treated like the files in it. Experts' masks (`mask_pairs`) are no scans: each becomes the truth of its
    slice.

    Raises AllRejected, UploadRejected (no file, too many), InvalidInput, StorageFull, StorageUnavailable, KeyReused,
    KeyInUse.
    """
    if not files:
        raise UploadRejected(
            "no_file",
            "The request has no file; send one or more in the form field `file` (with curl: `-F file=@NAME`).",
        )
    # Before a byte of it is read; what is stored is counted again with it.
    with resources.database.read() as session:
        visits.check_room(session, resources.settings)
    if options.study:
        options = replace(options, study=studies.clean_name(options.study))
    is_series = [series.is_dicom_file(file.stream) for file in files]
    _check_count(resources, [file.filename for file in files], is_series, options.group)
    with ExitStack() as stack:
        names, received = _receive(resources, files, stack)
        if len(names) != len(files):
            is_series = [isinstance(item, Received) and series.is_dicom_file(item.path) for item in received]
            _check_count(resources, names, is_series, options.group)
        answer = idempotency.once(
            resources,
            scope="POST /api/v1/scans",
            key=key,
            body_sha256=_digest(names, received, options),
            work=lambda: _admit_all(resources, names, received, options),
        )
    rejected = tuple(Rejected(names[index], code, message) for index, code, message in answer["rejected"])
    if not answer["scans"]:
        raise AllRejected(rejected)
    return Submission(tuple(answer["scans"]), rejected)


def submit_truth(
    resources: Resources,
    scan_id: str,
    files: Sequence[UploadedFile],
    key: str | None = None,
    origin: truth.Origin | None = None,
    seen: str | None = None,
    regions: Sequence[str] = (),
) -> None:
    """Make files the expert's mask of a scan: all of them or none. origin: the viewer that sends them. seen: the id of
    the mask that the sender's page showed. regions: of a DICOM object with several, the names of the tumor's.

    Raises NotFound, Conflict (a mask is there that is not the sender's to replace), UploadRejected (no file, too
    many), AllRejected (a file that cannot be used), StorageFull, StorageUnavailable, KeyReused, KeyInUse.
    """
    if not files:
        raise UploadRejected(
            "no_file", "The request has no file; send the mask in the form field `file` (with curl: `-F file=@NAME`)."
        )
    if len(files) > resources.settings.max_slices:
        raise UploadRejected("too_many_files", f"At most {resources.settings.max_slices} masks are taken; send fewer.")
    with ExitStack() as stack:
        names, received = _receive(resources, files, stack)

        def attach() -> dict[str, Any]:
            received_masks = [_checked_mask(item) for item in received]
            good = [item for item in received_masks if isinstance(item, Received)]
            refused = [(place, item) for place, item in enumerate(received_masks) if isinstance(item, UploadRejected)]
            if not refused:
                refused = truth.attach(
                    resources, scan_id, good, is_whole=True, origin=origin, seen=seen, regions=regions
                )
            return {"rejected": [(place, error.code, error.message) for place, error in refused]}

        answer = idempotency.once(
            resources,
            scope=f"PUT truth of {scan_id}",
            key=key,
            body_sha256=_digest([*names, *(f"region {name}" for name in regions)], received, UploadOptions()),
            work=attach,
        )
    if answer["rejected"]:
        raise AllRejected([Rejected(names[place], code, message) for place, code, message in answer["rejected"]])


def _checked_mask(item: Received | UploadRejected) -> Received | UploadRejected:
    """A file that may be a mask, by its first bytes; one that is none is not counted as one."""
    if isinstance(item, UploadRejected):
        return item
    if is_outlines(item.filename):
        return UploadRejected("unsupported", OUTLINES)
    try:
        find_reader(item.path, Limits())
    except ScanError as error:
        return UploadRejected(error.code, NO_MASK.format(reason=error.message))
    return item


def _is_text(name: str, upload: Received) -> bool:
    """Whether a file that is text by its name is no picture by its first bytes."""
    if suffix_of(name) not in ANNOTATION_SUFFIXES:
        return False
    try:
        find_reader(upload.path, Limits())
    except ScanError:
        return True
    return False


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


def _receive(
    resources: Resources, files: Sequence[UploadedFile], stack: ExitStack
) -> tuple[list[str], list[Received | UploadRejected]]:
    """Each file, and each file of a zip: its name, and a temporary file, gone when the stack closes, or why not."""
    names: list[str] = []
    received: list[Received | UploadRejected] = []
    for file in files:
        try:
            if archives.is_zip(file.stream):
                members = stack.enter_context(zips.unpacked(resources, file))
                names += [name for name, _ in members]
                received += [_adopted(path, name) for name, path in members]
                continue
            upload: Received | UploadRejected = stack.enter_context(
                receiving.received(resources, file.stream, file.filename)
            )
        except UploadRejected as error:
            upload = error
        names.append(file.filename)
        received.append(upload)
    return names, received


def _adopted(path: Path, name: str) -> Received | UploadRejected:
    try:
        return receiving.adopt(path, name)
    except UploadRejected as error:
        return error


def _check_count(resources: Resources, names: Sequence[str], is_series: Sequence[bool], grouping: Grouping) -> None:
    """Raises UploadRejected for more files than are taken at once. is_series: whether each is a slice in DICOM."""
    settings = resources.settings
    if sum(is_series) > MOST_SERIES * settings.max_slices:
        most_slices = MOST_SERIES * settings.max_slices
        raise UploadRejected("too_many_files", f"At most {most_slices} DICOM files are taken at once; send fewer.")
    names = [name for name, is_slice in zip(names, is_series, strict=True) if not is_slice]
    most = _most_files(resources, grouping)
    scan_count = len(pair_masks(names).scans)
    if max(scan_count, len(names) - scan_count) > most:
        raise UploadRejected(
            "too_many_files", f"At most {most} files, and as many masks, are taken at once; send fewer."
        )


def _most_files(resources: Resources, grouping: Grouping) -> int:
    """Files of one request, masks apart; of files that become stacks as many as a stack has slices."""
    settings = resources.settings
    if grouping is Grouping.NONE:
        return settings.max_files_per_upload
    return max(settings.max_files_per_upload, settings.max_slices)


def _admit_all(
    resources: Resources, names: Sequence[str], received: Sequence[Received | UploadRejected], options: UploadOptions
) -> dict[str, Any]:
    """Ids and codes only: this is what an Idempotency-Key keeps."""
    scan_ids: list[str] = []
    pairs = pair_masks(names)
    idle = set(pairs.masks.values())  # masks whose slice has not been stored
    pictures, instances, rejected = _sorted_out(names, received, pairs)
    groups = [
        (group.name, [pictures[place] for place in group.places])
        for group in group_files([names[index] for index in pictures], options.group)
    ]
    chosen = _studies_of_sequences(names, pictures, options)
    for name, sent in [*groups, *([(None, instances)] if instances else [])]:
        files = [(index, upload) for index in sent if isinstance(upload := received[index], Received)]
        if not files:
            continue
        uploads = [upload for _, upload in files]
        try:
            if name is None:
                titles = [names[index] for index in sent]
                admitted = series.admit_series(resources, uploads, titles, volume=options.volume, **_chosen(options))
            else:
                lost = [names[index] for index in sent if not isinstance(received[index], Received)]
                admitted = _admit_group(resources, uploads, name, chosen.get(sent[0], options), lost)
            scan_ids += [accepted.scan_id for accepted in admitted.scans]
            rejected += [(files[place][0], error) for place, error in admitted.refused]
            for accepted, places in zip(admitted.scans, admitted.places, strict=True):
                masks = [pairs.masks.get(files[place][0]) for place in places]
                idle.difference_update(place for place in masks if place is not None)
                rejected += _attach_masks(resources, accepted.scan_id, masks, received)
        except UploadRejected as error:
            rejected += [(index, error) for index, _ in files]
        except (StorageFull, StorageUnavailable, DecoderUnavailable, DatabaseUnavailable) as error:
            # The machine's fault: an error where nothing is stored yet, else the files before it stay admitted.
            if not scan_ids:
                raise
            rejected += [(index, error) for index, _ in files]
    idle.difference_update(index for index, _ in rejected)
    rejected += [(index, UploadRejected("mask", SLICE_REFUSED)) for index in idle]
    rejected.sort(key=lambda item: item[0])
    return {"scans": scan_ids, "rejected": [(index, error.code, error.message) for index, error in rejected]}


def _sorted_out(
    names: Sequence[str], received: Sequence[Received | UploadRejected], pairs: MaskPairs
) -> tuple[list[int], list[int], list[tuple[int, PortalError]]]:
    """The places of pictures, those that were refused among them, since a stack that lacks one says so; those of
    instances of DICOM series; and what is refused before it is read."""
    pictures: list[int] = []
    instances: list[int] = []
    rejected: list[tuple[int, PortalError]] = []

    def is_instance(index: int) -> bool:
        upload = received[index]
        return isinstance(upload, Received) and series.is_dicom_file(upload.path)

    of_viewers = discs.find_viewer_pictures(names, is_instance)
    volumes = {name.removesuffix(".gz").removesuffix(".nii") for name in names if name.endswith((".nii", ".nii.gz"))}
    for index, upload in enumerate(received):
        if isinstance(upload, UploadRejected):
            rejected.append((index, upload))
        elif index in of_viewers:
            rejected.append((index, UploadRejected("unsupported", discs.OF_A_VIEWER)))
            continue
        elif names[index].endswith(".json") and names[index].removesuffix(".json") in volumes:
            rejected.append((index, UploadRejected("unsupported", SIDECAR)))
            continue
        elif is_outlines(names[index]) or _is_text(names[index], upload):
            rejected.append((index, UploadRejected("unsupported", OUTLINES)))
            continue
        elif index in pairs.refused:
            rejected.append((index, UploadRejected("mask", pairs.refused[index])))
        if index in pairs.scans:
            (instances if is_instance(index) else pictures).append(index)
    return pictures, instances, rejected


def _studies_of_sequences(
    names: Sequence[str], places: Sequence[int], options: UploadOptions
) -> dict[int, UploadOptions]:
    """The options of files that are sequences of one patient, by their places: their study, if none was chosen."""
    if options.study:
        return {}
    found = sequence_groups.study_names([names[place] for place in places], sequence_groups.now())
    return {places[index]: replace(options, study=name) for index, name in found.items()}


def _attach_masks(
    resources: Resources, scan_id: str, masks: Sequence[int | None], received: Sequence[Received | UploadRejected]
) -> list[tuple[int, PortalError]]:
    """Make masks the truth of a scan that is stored already, so that their faults are never its own: those refused.

    masks: by slice, their places in the request.
    """
    found = {
        index: (place, upload)
        for index, place in enumerate(masks)
        if place is not None and isinstance(upload := received[place], Received)
    }
    if not found:
        return []
    places, uploads = zip(*found.values(), strict=True)
    try:
        refused = truth.attach(resources, scan_id, uploads, list(found) if len(masks) > 1 else None)
    except NotFound:
        return []  # deleted by now
    except PortalError as error:
        return [(place, error) for place in places]
    return [(places[place], error) for place, error in refused]


def _admit_group(
    resources: Resources, uploads: Sequence[Received], name: str, options: UploadOptions, lost: Sequence[str]
) -> stacking.AdmittedGroup:
    """The scans of files that belong together, of one file alone mostly. lost: the names of those that did not come."""
    chosen = {**_chosen(options), "volume": options.volume}
    if len(uploads) > 1 or lost:
        return stacking.admit_group(resources, uploads, name, lost=lost, **chosen)
    accepted = admission.admit(resources, replace(uploads[0], filename=receiving.display_name(name)), **chosen)
    return stacking.AdmittedGroup((accepted,), ((0,),), ())


def _chosen(options: UploadOptions) -> dict[str, Any]:
    return {"model": options.model, "threshold": options.threshold, "study": options.study}


def _digest(names: Sequence[str], received: Sequence[Received | UploadRejected], options: UploadOptions) -> str:
    """What the client sent, apart from the multipart boundary, which differs at every try."""
    contents = [item.sha256 if isinstance(item, Received) else item.code for item in received]
    said = [names, contents, options.model, options.threshold]
    if options.group is not Grouping.NONE:
        said.append(options.group)
    if options.study:
        said.append(["study", options.study])
    if options.volume is not None:
        said.append(["volume", str(options.volume)])
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
