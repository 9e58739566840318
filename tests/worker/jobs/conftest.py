"""A broker for jobs that no worker takes unasked."""

from collections.abc import Iterator

import pytest

from tests.support.servers import redis_server
from webapp.domain.resources import Resources


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    with redis_server() as url:
        yield url


def lose_messages(resources: Resources) -> None:
    """Empty the broker, as a restart does."""
    import redis

    with redis.Redis.from_url(resources.settings.redis_url) as connection:
        connection.flushall()
