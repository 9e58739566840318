"""A portal with users does not start before one of them can let the others in."""

from webapp.domain.settings import Settings, SettingsError


def check(settings: Settings) -> None:
    """Raises SettingsError where users must log in and there is no administrator, or what hashes passwords is missing.

    The database has the newest schema by now.
    """
    if settings.auth in ("local", "demo"):
        return
    from webapp.domain.accounts import users
    from webapp.domain.database.engine import Database

    database = Database(settings.database_url)
    try:
        with database.read() as session:
            by_oidc = settings.auth == "oidc"
            if not users.has_administrator(session, by_oidc=by_oidc):
                raise SettingsError(users.NO_OIDC_ADMINISTRATOR if by_oidc else users.NO_ADMINISTRATOR)
    finally:
        database.dispose()
