"""DICOMweb (DICOM PS3.18): a study of an archive comes in by QIDO-RS and WADO-RS, SEG and SR go back by STOW-RS.

The archive is the one of the settings, never one that somebody asks for. Its answers are bounded, redirects are not
followed, and what keeps an answer from coming is asked for again a few times.
"""

import hashlib
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pydicom
import requests
from dicomweb_client import DICOMwebClient
from pydicom.dataset import Dataset
from retrying import RetryError

from ml.digests import sha256_of
from webapp.domain.errors import WrongState
from webapp.domain.networks.identity import Identity, identity_of, restore
from webapp.domain.networks.ledger import Ledger, ledger_folder
from webapp.domain.networks.owner import record
from webapp.domain.networks.results import write_objects
from webapp.domain.networks.taking import FILES_IN_ONE, Taken, study_name, take_series
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup
from webapp.domain.settings import Settings

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64
SOURCE = "DICOMweb"
_NO_DICOMWEB = "The archive's answer is no DICOMweb; is GLIOSCOPE_DICOMWEB_URL its address?"
ATTEMPTS = 4
# Between attempts: doubled each time.
FIRST_PAUSE_S = 0.5
CONNECT_S = 10.0


class DicomWebError(Exception):
    """The archive, or what was asked of it, in one sentence without a patient's value."""


@dataclass(frozen=True)
class Pulled:
    """What became of one series of a study. number: its own, 0 where it has none."""

    number: int
    taken: Taken


def pull(resources: Resources, study_uid: str) -> Iterator[Pulled]:
    """Make scans of the MR series of a study, one by one: the same study again makes no new ones.

    Raises DicomWebError, and what `take_series` raises.
    """
    if len(study_uid) > _LONGEST_UID or not _UID.fullmatch(study_uid):
        raise DicomWebError("This is no study's UID, which is digits and points.")
    with _client(resources.settings) as (client, session):
        with _asked():
            found = [Dataset.from_json(item) for item in client.search_for_series(study_uid)]
        wanted = [item for item in found if item.get("Modality") == "MR" and _is_uid(item.get("SeriesInstanceUID"))]
        if not wanted:
            raise DicomWebError(
                f"The archive has no MR series of this study; it has {len(found)} others."
                if found
                else "The archive has no such study, or does not show it to us."
            )
        ledger = Ledger(ledger_folder(resources.settings))
        name = study_name(resources, SOURCE, study_uid)
        for item in wanted:
            number = int(item.get("SeriesNumber") or 0)
            with _instances(resources, client, session, study_uid, str(item.SeriesInstanceUID)) as paths:
                key = hashlib.sha256("\n".join(sha256_of(path) for path in paths).encode()).hexdigest()
                taken = take_series(resources, ledger, paths, study=name, number=number, key=f"dicomweb {key}")
            record(resources, "dicomweb.pull", taken.scan_ids, "command")
            yield Pulled(number, taken)


def push(resources: Resources, scan_id: str) -> None:
    """Store SEG and SR of a scan's shown result in the archive, in the study and under the names that it has there.

    Raises DicomWebError (the study is not there, too), and what `write_objects` raises.
    """
    with resources.database.read() as session:
        lookup.get(session, scan_id)
    with _client(resources.settings) as (client, _), TemporaryDirectory() as folder:
        paths = write_objects(resources, scan_id, None, Path(folder), None)
        mask = pydicom.dcmread(paths[0], stop_before_pixels=True)
        identity = _identity_of_images(client, mask)
        for path in paths:
            restore(path, identity)
        with _asked():
            answer = client.store_instances([pydicom.dcmread(path) for path in paths], str(mask.StudyInstanceUID))
        _check_stored(answer, len(paths))
    record(resources, "dicomweb.push", [scan_id], "command")


def _identity_of_images(client: DICOMwebClient, mask: Dataset) -> Identity:
    """Whose the study is, by an image that the mask refers to: what an archive says of the study as a whole may be of
    any object in it, such as an earlier mask under our pseudonym. Raises DicomWebError, WrongState."""
    series = mask.ReferencedSeriesSequence[0]
    image = series.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID
    try:
        with _asked():
            said = client.retrieve_instance_metadata(mask.StudyInstanceUID, series.SeriesInstanceUID, image)
            return identity_of(Dataset.from_json(said, lambda _: None))  # the pixels stay there
    except DicomWebError as error:
        answer = getattr(error.__cause__, "response", None)
        if getattr(answer, "status_code", 0) == HTTPStatus.NOT_FOUND:
            raise WrongState(
                "The archive does not have the scan's study, and its result would open nowhere there."
            ) from error
        raise


def _check_stored(answer: Dataset, count: int) -> None:
    """Raises DicomWebError where the archive does not have all of it (PS3.18 10.5.3)."""
    failed, stored = len(answer.get("FailedSOPSequence") or []), len(answer.get("ReferencedSOPSequence") or [])
    if failed or (answer and stored < count):
        raise DicomWebError(f"The archive stored {stored} of {count} objects; push again, they have the same UIDs.")


def _is_uid(value: object) -> bool:
    return _UID.fullmatch(str(value or "")) is not None


@contextmanager
def _instances(
    resources: Resources, client: DICOMwebClient, session: "_Session", study_uid: str, series_uid: str
) -> Iterator[list[Path]]:
    """The files of a series, gone after the block. They are written as they come: one is in memory at a time."""
    session.begin(FILES_IN_ONE * resources.settings.max_upload_bytes)
    with ExitStack() as stack:
        paths: dict[str, Path] = {}
        with _asked():
            for dataset in client.iter_series(study_uid, series_uid):
                path = resources.storage.temporary_file()
                stack.callback(path.unlink, missing_ok=True)
                dataset.save_as(path, enforce_file_format=True)
                paths[str(dataset.get("SOPInstanceUID"))] = path
        # In an order of their own: the archive may give them in another one the next time.
        yield [path for _, path in sorted(paths.items())]


class _TooLarge(Exception):
    """An answer beyond its limit."""


class _Session(requests.Session):
    """Bounded answers from one server. `begin` sets the limit of all that come from then on."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self.max_redirects = 0  # an archive that sends us elsewhere is not the one of the settings
        self._left = most_bytes
        self._responses: list[requests.Response] = []

    def begin(self, most_bytes: int) -> None:
        self._left = most_bytes

    def close(self) -> None:
        """Answers that were not read to their end are closed, too."""
        for response in self._responses:
            response.close()
        super().close()

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """As every session, but that no answer is read at once."""
        response = super().send(request, **{**options, "stream": True})
        self._responses.append(response)
        chunks: Any = response.iter_content

        def bounded(chunk_size: int | None = 1, decode_unicode: bool = False) -> Iterator[Any]:
            for chunk in chunks(chunk_size, decode_unicode):
                self._left -= len(chunk)
                if self._left < 0:
                    raise _TooLarge
                yield chunk

        response.iter_content = bounded  # type: ignore[method-assign]
        return response


# Of what a search or a stored object answers.
_MOST_JSON_BYTES = 16_000_000


@contextmanager
def _client(settings: Settings) -> Iterator[tuple[DICOMwebClient, _Session]]:
    """The archive of the settings. Raises DicomWebError where none is set."""
    if not settings.dicomweb_url:
        raise DicomWebError("No archive is set; set GLIOSCOPE_DICOMWEB_URL.")
    for name in ("retrying", "dicomweb_client"):  # they write of addresses with UIDs in them
        logging.getLogger(name).setLevel(logging.CRITICAL)
    session = _Session(_MOST_JSON_BYTES)
    if settings.dicomweb_login:
        user, _, password = settings.dicomweb_login.partition(":")
        session.auth = (user, password)
    client = DICOMwebClient(settings.dicomweb_url, session=session, timeout=(CONNECT_S, settings.dicomweb_timeout_s))
    client.set_http_retry_params(max_attempts=ATTEMPTS, wait_exponential_multiplier=int(FIRST_PAUSE_S * 1000))
    try:
        yield client, session
    finally:
        session.close()


@contextmanager
def _asked() -> Iterator[None]:
    """What goes wrong with the archive in the block is a DicomWebError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values
            yield
    except _TooLarge as error:
        raise DicomWebError("The archive's answer is larger than four times GLIOSCOPE_MAX_UPLOAD_MB.") from error
    except requests.HTTPError as error:
        raise DicomWebError(_of_status(getattr(error.response, "status_code", 0))) from error
    except (requests.TooManyRedirects, requests.exceptions.InvalidURL) as error:
        raise DicomWebError("The archive sends us elsewhere; set GLIOSCOPE_DICOMWEB_URL to where it is.") from error
    except requests.Timeout as error:
        raise DicomWebError("The archive does not answer in time (GLIOSCOPE_DICOMWEB_TIMEOUT_S).") from error
    except RetryError as error:
        raise DicomWebError("The archive is busy; try again later.") from error
    except requests.JSONDecodeError as error:
        raise DicomWebError(_NO_DICOMWEB) from error
    except requests.RequestException as error:
        raise DicomWebError("The archive cannot be reached, or broke off.") from error
    except (ValueError, KeyError, TypeError, AttributeError, pydicom.errors.InvalidDicomError) as error:
        raise DicomWebError(_NO_DICOMWEB) from error


def _of_status(status: int) -> str:
    words = {
        401: "wants a login; set GLIOSCOPE_DICOMWEB_LOGIN",
        403: "does not allow us this",
        404: "has no such study, or DICOMweb is elsewhere (GLIOSCOPE_DICOMWEB_URL)",
        409: "did not store the objects",
    }
    return f"The archive {words.get(status, 'failed')} (HTTP {status})."
