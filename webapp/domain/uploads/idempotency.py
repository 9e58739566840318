"""Idempotency-Key: the same POST sent twice does its work once.

What is kept is hashed, or ids and codes: a deleted scan's name must not live on in here.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from webapp.domain.database.clock import database_now
from webapp.domain.database.ownership import owner_of_new
from webapp.domain.errors import DatabaseUnavailable, KeyInUse, KeyReused, OutcomeUnknown, PortalError
from webapp.domain.resources import Resources
from webapp.domain.uploads.models import IdempotencyKey

logger = logging.getLogger(__name__)

# Long enough for every retry of a client; the published habit of payment APIs.
KEPT_S = 24 * 3600.0
# A key without an answer that was not renewed for so long belongs to a process that died.
ABANDONED_S = 120.0
RENEW_EVERY_S = ABANDONED_S / 4


def once(
    resources: Resources, *, scope: str, key: str | None, body_sha256: str, work: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Do `work` and keep its answer under the key, or give the first answer again. Without a key it is just done.

    Raises KeyReused for another body under the key, KeyInUse while the first request runs, and what `work` raises:
    then the key is free again, after OutcomeUnknown only when it was not renewed for ABANDONED_S.
    """
    if key is None:
        return work()
    row_id = hashlib.sha256(f"{owner_of_new()}\n{scope}\n{key}".encode()).hexdigest()
    known = _reserve(resources, row_id, body_sha256)
    if known is not None:
        return known
    try:
        with _renewed(resources, row_id):
            answer = work()
    except OutcomeUnknown:  # the work may have been done
        raise
    except BaseException:
        with resources.database.write() as session:
            session.execute(delete(IdempotencyKey).where(IdempotencyKey.id == row_id, IdempotencyKey.answer.is_(None)))
        raise
    try:
        with resources.database.write() as session:
            session.execute(update(IdempotencyKey).where(IdempotencyKey.id == row_id).values(answer=answer))
    except DatabaseUnavailable as error:
        # The work is done, and this request answers with it; sent again within ABANDONED_S, it finds the key taken.
        logger.warning("the answer of an Idempotency-Key was not kept: %s", error.code)
    return answer


def forget_old(resources: Resources) -> None:
    """Delete keys past their time; the sweeper's work."""
    with resources.database.write() as session:
        session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < database_now(-KEPT_S)))


@contextmanager
def _renewed(resources: Resources, row_id: str) -> Iterator[None]:
    """Keep a reservation while the block runs: an archive of many scans may take minutes."""
    stopped = threading.Event()

    def renew() -> None:
        while not stopped.wait(RENEW_EVERY_S):
            is_own = (IdempotencyKey.id == row_id) & IdempotencyKey.answer.is_(None)
            try:
                with resources.database.write() as session:
                    session.execute(update(IdempotencyKey).where(is_own).values(created_at=database_now()))
            except PortalError as error:
                logger.warning("an Idempotency-Key was not renewed: %s", error.code)
            except Exception:
                logger.exception("an Idempotency-Key was not renewed")

    thread = threading.Thread(target=renew, name="idempotency", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _reserve(resources: Resources, row_id: str, body_sha256: str) -> dict[str, Any] | None:
    """Take the key: None where it is ours now, else the answer it had."""
    try:
        with resources.database.write() as session:
            is_over = (IdempotencyKey.created_at < database_now(-KEPT_S)) | (
                IdempotencyKey.answer.is_(None) & (IdempotencyKey.created_at < database_now(-ABANDONED_S))
            )
            session.execute(delete(IdempotencyKey).where(IdempotencyKey.id == row_id, is_over))
            row = session.execute(
                select(IdempotencyKey.body_sha256, IdempotencyKey.answer).where(IdempotencyKey.id == row_id)
            ).first()
            if row is None:
                session.add(IdempotencyKey(id=row_id, body_sha256=body_sha256))
                return None
    except IntegrityError as error:
        raise KeyInUse("Another request with this Idempotency-Key is still running; ask again shortly.") from error
    if row.body_sha256 != body_sha256:
        raise KeyReused("This Idempotency-Key was used with another request; use a new key.")
    if row.answer is None:
        raise KeyInUse("Another request with this Idempotency-Key is still running; ask again shortly.")
    return dict(row.answer)
