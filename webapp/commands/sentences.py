"""Commands that end with one sentence where something is in their way."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from webapp.context import resources
from webapp.domain.errors import PortalError


def with_sentences(command: Callable[..., None]) -> Callable[..., None]:
    """The command over a database that is ready for it; what is in its way is one sentence."""

    @wraps(command)
    def told(*args: Any, **options: Any) -> None:
        from webapp.domain.database import migration  # Alembic, as in `migrate`

        try:
            migration.check(resources().database)
            command(*args, **options)
        except PortalError as error:
            raise click.ClickException(error.message) from error
        except migration.SchemaError as error:
            raise click.ClickException(str(error)) from error

    return told
