"""Every table, imported once, so that `Base.metadata` is whole and relationships find their classes."""

from webapp.domain.accounts import models as accounts
from webapp.domain.database import identity, tombstones
from webapp.domain.database.orm import Base
from webapp.domain.evaluations import models as evaluations
from webapp.domain.jobs import models as jobs
from webapp.domain.scans import models as scans
from webapp.domain.uploads import models as uploads

__all__ = ["Base", "accounts", "evaluations", "identity", "jobs", "scans", "tombstones", "uploads"]
