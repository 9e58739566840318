"""Which scans a series became: a study that is sent again makes no new ones. Digests and ids alone.

A series is the same by its instances' contents (`content_of`), and not by its files: by C-STORE and by DICOMweb these
have other headers and encodings. One that was corrected in the archive is another, also under its old UIDs.
"""

import hashlib
import hmac
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from ml.atomic_files import write_text
from ml.digests import sha256_of
from webapp.domain.database.ownership import owner_of_new
from webapp.domain.errors import NotFound
from webapp.domain.networks.node_status import spool_folder
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup
from webapp.domain.settings import Settings

# Some 40 MB of small files; the oldest are forgotten.
MOST_ENTRIES = 10_000


def ledger_folder(settings: Settings) -> Path:
    """Where this instance's is."""
    return spool_folder(settings) / "ledger"


def content_of(path: Path) -> str:
    """A digest of an instance's public elements, nested ones and pixels as they are stored included: the same in
    implicit and explicit little endian, whoever wrote the file. Of a file that cannot be taken apart, of its bytes."""
    digest = hashlib.sha256()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values
            _add(digest, pydicom.dcmread(path))
    except Exception:  # noqa: BLE001 - a stranger's bytes: readers raise whatever they like
        return sha256_of(path)
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", dataset: Dataset) -> None:
    for tag in sorted(dataset.keys()):
        if tag.is_private or tag.element == 0:  # lengths of groups say how the rest is written
            continue
        raw = dataset.get_item(tag)
        value = raw.value
        if isinstance(raw, RawDataElement) and (raw.VR or _kind(tag)) == "SQ":
            value = dataset[tag].value
        if isinstance(value, Sequence) and not isinstance(value, str | bytes) and _kind(tag) == "SQ":
            digest.update(f"{tag} {len(value)} items\n".encode())
            for item in value:
                _add(digest, item)
            continue
        data = value if isinstance(value, bytes) else str("" if value is None else value).encode()
        data = data.rstrip(b"\0 ")  # what makes a length even
        digest.update(f"{tag} {len(data)}\n".encode() + data)


def _kind(tag: BaseTag) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


def _keyed(resources: Resources, digests: Sequence[str]) -> str:
    said = "\n".join([owner_of_new(), *sorted(digests)])
    return hmac.new(resources.settings.secret_key.encode(), said.encode(), hashlib.sha256).hexdigest()


class Ledger:
    """A folder with a file for each series: its scans' ids."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder

    def digest(self, resources: Resources, instances: Sequence[Path]) -> str:
        """Of a series' instances, in whatever order and by whatever way they came; under the portal's key."""
        return _keyed(resources, [content_of(path) for path in instances])

    def known(self, resources: Resources, instances: Sequence[Path], digest: str) -> list[str] | None:
        """The ids of a series' scans, if all of them are still there. digest: of `digest`."""
        found = self._scans(resources, digest)
        # As it was noted before ways were told apart from contents: by the files' own bytes.
        return found or self._scans(resources, _keyed(resources, [sha256_of(path) for path in instances]))

    def _scans(self, resources: Resources, digest: str) -> list[str] | None:
        try:
            found = [str(item) for item in json.loads((self._folder / digest).read_text())]
        except (OSError, ValueError):
            return None
        try:
            with resources.database.read() as session:
                for scan_id in found:
                    lookup.get(session, scan_id)
        except NotFound:
            return None
        return found

    def note(self, digest: str, scan_ids: Sequence[str]) -> None:
        """Raises OSError."""
        write_text(self._folder / digest, json.dumps(list(scan_ids)))

    def forget_old(self) -> None:
        """Keep the newest."""
        entries = list(self._folder.iterdir())
        if len(entries) > MOST_ENTRIES:
            entries.sort(key=lambda path: path.stat().st_mtime)
            for path in entries[:-MOST_ENTRIES]:
                path.unlink(missing_ok=True)
