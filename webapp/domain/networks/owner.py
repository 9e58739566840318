"""Whose scans those are that come from other systems: no browser has logged in for them."""

from collections.abc import Iterable

from sqlalchemy import select

from webapp.domain.accounts import audit
from webapp.domain.accounts.audit import Event
from webapp.domain.accounts.models import Role, User
from webapp.domain.database import ownership
from webapp.domain.resources import Resources


class OwnerMissing(Exception):
    """There are users, and none whose scans these would be: one sentence with the remedy."""


def act_as_owner(resources: Resources, name: str) -> None:
    """From here on this thread's scans belong to the named user; without users there is nothing to do.

    Raises OwnerMissing, DatabaseUnavailable.
    """
    if resources.settings.auth == "local":
        return
    ownership.act_as(None)
    with resources.database.read() as session:
        user = session.scalar(select(User).where(User.name == name.strip().lower()))
    if user is None or user.disabled_at is not None or not user.role.includes(Role.RESEARCHER):
        raise OwnerMissing(
            "GLIOSCOPE_DICOM_USER must name a user of the role researcher or admin, whose scans those of an archive"
            " are; make one: `flask --app wsgi users create NAME --role researcher`."
        )
    ownership.act_as(user.id)


def record(resources: Resources, action: str, scan_ids: Iterable[str], address: str) -> None:
    """A line of the audit log for each scan. address: the peer, or `command`. Raises DatabaseUnavailable."""
    for scan_id in scan_ids:
        audit.record(resources.database, Event(action, "ok", ownership.owner_of_new(), address, scan_id))
