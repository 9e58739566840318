"""All settings that are variables, a group a module: one field each, under its heading of docs/settings.md."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from webapp.domain.settings.groups.access import Access
from webapp.domain.settings.groups.demonstration import Demonstration
from webapp.domain.settings.groups.dicom import Dicom
from webapp.domain.settings.groups.evaluations import Evaluations
from webapp.domain.settings.groups.places import Places
from webapp.domain.settings.groups.uploads import Uploads
from webapp.domain.settings.groups.workers import Workers
from webapp.domain.settings.parsing import Setting

# In the order of docs/settings.md, in which they are read, too: defaults name the places.
_GROUPS = (Places, Access, Workers, Uploads, Evaluations, Dicom, Demonstration)

# By the field of Variables.
SETTINGS: Mapping[str, Setting] = {
    field.name: field.metadata["setting"] for group in _GROUPS for field in fields(group)
}


@dataclass(frozen=True)
class Variables(Places, Access, Workers, Uploads, Evaluations, Dicom, Demonstration):
    """The value of every variable."""
