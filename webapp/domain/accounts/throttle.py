"""Wrong passwords are counted in the database, by name and address: no process has a count of its own."""

import hashlib

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from webapp.domain.accounts.models import LoginFailures
from webapp.domain.database.clock import database_now

WINDOW_S = 15 * 60.0
# By one address for one name; by one address for all names; for one name by all addresses. The last is large, so that
# nobody is locked out by a few strangers, and still far from what a guess of a good password needs.
MOST_OF_BOTH, MOST_OF_ADDRESS, MOST_OF_NAME = 20, 100, 200
# Codes of a second factor for one name by all addresses: one in 333,333 is right, and who tries has the password.
MOST_CODES = 20


def try_once(session: Session, name: str, address: str) -> bool:
    """Count an attempt before its password is looked at; False where there were too many."""
    session.execute(delete(LoginFailures).where(LoginFailures.since < database_now(-WINDOW_S)))
    found = [_count_one(session, key) <= most for key, most in _keys(name, address)]
    return all(found)


def try_code(session: Session, name: str, address: str) -> bool:
    """Count an attempt at a second factor before its code is looked at; False where there were too many."""
    may_try = try_once(session, name, address)
    return _count_one(session, _code_key(name)) <= MOST_CODES and may_try


def try_address(session: Session, address: str) -> bool:
    """Count an attempt whose name is not known yet; False where this address made too many."""
    session.execute(delete(LoginFailures).where(LoginFailures.since < database_now(-WINDOW_S)))
    key, most = _keys("", address)[1]
    return _count_one(session, key) <= most


def forget(session: Session, name: str, address: str) -> None:
    """A login ends the count of this name at this address, and of its codes."""
    key, _ = _keys(name, address)[0]
    session.execute(delete(LoginFailures).where(LoginFailures.id.in_((key, _code_key(name)))))


def _code_key(name: str) -> str:
    return _hashed(f"code\n{name}")


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _keys(name: str, address: str) -> list[tuple[str, int]]:
    kinds = (
        (f"both\n{name}\n{address}", MOST_OF_BOTH),
        (f"address\n{address}", MOST_OF_ADDRESS),
        (f"name\n{name}", MOST_OF_NAME),
    )
    return [(_hashed(text), most) for text, most in kinds]


def _count_one(session: Session, key: str) -> int:
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    made = insert(LoginFailures).values(id=key, count=1, since=database_now())
    session.execute(made.on_conflict_do_update(index_elements=["id"], set_={"count": LoginFailures.count + 1}))
    return session.scalar(select(LoginFailures.count).where(LoginFailures.id == key)) or 0
