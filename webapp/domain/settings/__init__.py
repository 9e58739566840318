"""The settings of a portal: one list of environment variables, read here and nowhere else.

A setting is one field of a group (`groups`): its variable, its default, its type and its sentence for docs/settings.md,
which a test holds against this list. The defaults run the whole product on one machine.

Read without pydantic-settings, which cost the web process 280 ms of CPU time at its start and 14 MB.
"""

import difflib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote

from webapp.domain.settings.checks import check_bind, check_together
from webapp.domain.settings.groups import SETTINGS, Variables
from webapp.domain.settings.instance import embedded_socket, stored_secret
from webapp.domain.settings.parsing import Peer, Setting, SettingsError, unquoted

__all__ = ["PROJECT_ROOT", "SETTINGS", "Peer", "Setting", "Settings", "SettingsError", "check_bind"]

PREFIX = "GLIOSCOPE_"
# Of difflib: a letter or two in a name of twenty, prefix included.
NEAR = 0.85
# Variables of that prefix that are no settings: the launcher's for what it starts, and the test suite's.
OTHERS = (
    "GLIOSCOPE_EMBEDDED_REDIS", "GLIOSCOPE_HAS_DICOM_NODE", "GLIOSCOPE_PYTHON", "GLIOSCOPE_ROOT", "GLIOSCOPE_TEST_",
    "GLIOSCOPE_USER",
)  # fmt: skip

PROJECT_ROOT = Path(__file__).resolve().parents[3]

# What `auth` makes of other settings where nothing else is set: by the field.
DEFAULTS_OF: Mapping[str, Mapping[str, str]] = {
    "demo": {"max_upload_bytes": "10", "max_files_per_upload": "32", "max_slices": "32"},
    "local": {"audit_days": "365"},
}


@dataclass(frozen=True)
class Settings(Variables):
    """One portal's settings. Sizes are in bytes where a name ends in `_bytes`, times in seconds where in `_s`."""

    # Whether the launcher starts Redis: no REDIS_URL was given.
    has_embedded_redis: bool = False

    @property
    def socket_path(self) -> Path | None:
        """Socket of the embedded Redis; None where REDIS_URL names a server."""
        return Path(unquote(self.redis_url.removeprefix("unix://"))) if self.has_embedded_redis else None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; an empty variable counts as not set. Raises SettingsError."""
        values: dict[str, Any] = {}
        for name, entry in SETTINGS.items():
            instance, place = values.get("instance_dir"), values.get("storage", "")
            local = instance if "://" in place else place
            chosen = DEFAULTS_OF.get(values.get("auth", ""), {}).get(name, entry.default)
            default = chosen.format(project=PROJECT_ROOT, instance=instance, local=local)
            given = environ.get(entry.name, "").strip()
            values[name] = entry.parse(
                entry.name, (given if entry.is_secret else unquoted(entry.name, given)) or default
            )
        values["has_embedded_redis"] = not values["redis_url"]
        values["redis_url"] = values["redis_url"] or f"unix://{quote(bytes(embedded_socket(values['instance_dir'])))}"
        values["secret_key"] = values["secret_key"] or stored_secret(values["instance_dir"])
        settings = cls(**values)
        check_together(settings)
        return settings

    @staticmethod
    def unknown_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
        """A sentence for each variable that is called like a setting and is none: nothing would say that it does
        nothing, of a misspelled GLIOSCOPE_RETENTION_DAYS that nothing is ever deleted."""
        known = [entry.name for entry in SETTINGS.values()]
        sentences = []
        for name in sorted(environ):
            if name.startswith(PREFIX) and name not in known and not name.startswith(OTHERS):
                near = difflib.get_close_matches(name, known, 1, NEAR)
                sentences.append(
                    f"{name} is no setting, and does nothing{f'; did you mean {near[0]}?' if near else '.'}"
                )
        return sentences

    @classmethod
    def of_process(cls) -> Self:
        """The environment's, for the entry point of a process, which ends with a sentence where one cannot work."""
        try:
            return cls.from_environment()
        except SettingsError as error:
            sys.exit(str(error))
