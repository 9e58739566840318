"""Which scans a series became: a study that is sent again makes no new ones. Digests and ids alone."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from pathlib import Path

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


class Ledger:
    """A folder with a file for each series: its scans' ids."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder

    def digest(self, resources: Resources, instances: Sequence[Path]) -> str:
        """Of a series' files, whatever the order in which they came; under the portal's key."""
        said = "\n".join([owner_of_new(), *sorted(sha256_of(path) for path in instances)])
        return hmac.new(resources.settings.secret_key.encode(), said.encode(), hashlib.sha256).hexdigest()

    def scans(self, resources: Resources, digest: str) -> list[str] | None:
        """The ids of its scans, if all of them are still there."""
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
