"""What can go wrong in the domain, each with the code and the HTTP status that the API documents.

PortalError
├── NotLoggedIn           401 unauthorized
├── RoleRefused           403 role
├── SecondFactorNeeded    403 second_factor
├── DemoRefused           403 demo
├── CookieNeeded          403 cookie_needed
├── NotFound              404 not_found
├── NotReady              409 not_ready
├── NoGeometry            409 no_geometry
├── NotAssessed           409 not_assessed
├── WrongState            409 wrong_state
├── Conflict              409 conflict
├── PackedBody            415 unsupported
├── InvalidInput          422 invalid
├── FolderRefused         422 folder_refused
├── UploadRejected        4xx the code of the reader that refused the file
├── KeyReused             422 idempotency_key_reused
├── KeyInUse              409 idempotency_key_in_use
├── TooManyAttempts       429 too_many_requests
├── StorageFull           507 storage_full
├── StorageUnavailable    503 storage_unavailable
│   └── DataLost          503 storage_unavailable
├── DecoderUnavailable    503 decoder_unavailable
├── TooManyWaiting        503 too_many_waiting
├── TooManyDownloads      503 too_many_downloads
└── DatabaseUnavailable   503 database_unavailable
    ├── DatabaseFull      507 storage_full
    └── OutcomeUnknown    503 database_unavailable
"""

from typing import ClassVar


class PortalError(Exception):
    """A failure whose message is safe to show: one sentence with what, the limit and the remedy."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotLoggedIn(PortalError):
    """Nobody is logged in, or the API token is none, over, or revoked."""

    code = "unauthorized"
    status = 401


class RoleRefused(PortalError):
    """The user's role, or the API token's scope, does not allow it."""

    code = "role"
    status = 403


class SecondFactorNeeded(PortalError):
    """The portal asks this user for a second factor, and none is set up yet."""

    code = "second_factor"
    status = 403


class DemoRefused(PortalError):
    """The public demonstration does not offer this."""

    code = "demo"
    status = 403


class CookieNeeded(PortalError):
    """The public demonstration tells its visitors apart by a cookie, and the request has none."""

    code = "cookie_needed"
    status = 403


class NotFound(PortalError):
    """No such object, or none that this user may see."""

    code = "not_found"
    status = 404


class NotReady(PortalError):
    """The scan has no result yet."""

    code = "not_ready"
    status = 409


class NoGeometry(PortalError):
    """The scan's file does not say where its pixels lie in the patient."""

    code = "no_geometry"
    status = 409


class NotAssessed(PortalError):
    """The run has no verdict, and what was asked for would show what it marked as a finding."""

    code = "not_assessed"
    status = 409


class WrongState(PortalError):
    """The job's state does not allow the action."""

    code = "wrong_state"
    status = 409


class Conflict(PortalError):
    """What others have done in the meantime does not allow this."""

    code = "conflict"
    status = 409


class PackedBody(PortalError):
    """The request's body is in a Content-Encoding."""

    code = "unsupported"
    status = 415


class InvalidInput(PortalError):
    """A value is outside what is allowed."""

    code = "invalid"
    status = 422


class FolderRefused(PortalError):
    """The folder does not exist below an allowed root."""

    code = "folder_refused"
    status = 422


class KeyReused(PortalError):
    """An Idempotency-Key came again with another body."""

    code = "idempotency_key_reused"
    status = 422


class KeyInUse(PortalError):
    """The first request under an Idempotency-Key has not been answered yet."""

    code = "idempotency_key_in_use"
    status = 409


class TooManyAttempts(PortalError):
    """Too many requests, or wrong passwords; wait a moment."""

    code = "too_many_requests"
    status = 429


class StorageFull(PortalError):
    """The disk has no room left."""

    code = "storage_full"
    status = 507


class StorageUnavailable(PortalError):
    """The storage cannot be read or written."""

    code = "storage_unavailable"
    status = 503


class DataLost(StorageUnavailable):
    """What a row names is missing or damaged: waiting does not bring it back."""


class DecoderUnavailable(PortalError):
    """The sandboxed reader cannot be started: the machine's fault, not the file's."""

    code = "decoder_unavailable"
    status = 503


class TooManyWaiting(PortalError):
    """As many clients wait for results as the portal has threads for."""

    code = "too_many_waiting"
    status = 503


class TooManyDownloads(PortalError):
    """As many zips and tables are being made as the portal makes at a time."""

    code = "too_many_downloads"
    status = 503


class DatabaseUnavailable(PortalError):
    """The database is locked or away for longer than a request waits."""

    code = "database_unavailable"
    status = 503


class DatabaseFull(DatabaseUnavailable):
    """The disk of the database has no room left."""

    code = StorageFull.code
    status = StorageFull.status


class OutcomeUnknown(DatabaseUnavailable):
    """The database went away during a COMMIT: what was sent may have been saved, so nothing that it names may go."""


# The readers' codes (ml.scans.ScanError) and those of the upload itself: status and meaning.
UPLOAD_ERRORS = {
    "no_file": (400, "The request has no file."),
    "no_name": (400, "The file has no name."),
    "too_large": (413, "The file, or the request, is larger than the portal takes."),
    "too_many_files": (413, "More files than the portal takes at once."),
    "too_many_scans": (429, "A visitor of the public demonstration has as many scans, or runs, as it keeps for one."),
    "demo_full": (503, "The public demonstration has as many scans as it keeps; they go by themselves."),
    "pictures_only": (415, "The public demonstration takes pictures alone: no DICOM, NIfTI or zip."),
    "unsupported": (415, "The bytes are not those of a format that is read here, whatever the name says."),
    "empty": (422, "The file has no bytes."),
    "mask": (422, "The file is an expert's mask by its name, and its slice is not among the files."),
    "unequal_size": (422, "The expert's mask has another size, or other slices, than its scan."),
    "unsafe": (422, "The archive has a member that would leave its folder, or a link."),
    "unreadable": (422, "The file is damaged, or of a variant that is not read."),
    "limit": (422, "The scan is larger than the portal takes: pixels, slices, memory or time."),
    "too_small": (422, "The scan is smaller than a network can judge."),
}


class UploadRejected(PortalError):
    """A file was not admitted. `code` and `status` are those of UPLOAD_ERRORS."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]
        self.status = UPLOAD_ERRORS[code][0]  # type: ignore[misc]
