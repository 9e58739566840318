"""`flask --app wsgi users|tokens|audit ...`: the first administrator, and all that needs no browser."""

import json
import sys

import click
from flask.cli import AppGroup

from webapp.commands.sentences import with_sentences
from webapp.context import resources
from webapp.domain.accounts import audit, oidc, tokens, users
from webapp.domain.accounts.audit import Event
from webapp.domain.accounts.identity import Scope
from webapp.domain.accounts.models import Role
from webapp.domain.database import ownership
from webapp.domain.scans import studies

users_group = AppGroup("users", help="Who may come in, with GLIOSCOPE_AUTH=password or oidc.")
tokens_group = AppGroup("tokens", help="API tokens of users.")
audit_group = AppGroup("audit", help="The log of who did what.")

_ROLE = click.Choice([role.value for role in Role])
# Asked for without an echo, or read from the standard input where that is no terminal: never an argument, which other
# users of the machine see in the list of processes.


def _asked_password() -> str:
    if not sys.stdin.isatty():
        # Of a file that was written on Windows: with a byte order mark, and two signs at a line's end.
        return sys.stdin.readline().removeprefix("\ufeff").rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password


@users_group.command("create")
@click.argument("name")
@click.option("--role", type=_ROLE, default=Role.VIEWER.value, show_default=True)
@click.option("--no-password", is_flag=True, help="Logs in by OpenID Connect alone; NAME is an e-mail address.")
@click.option("--subject", help="Invite whom the provider calls so, whatever NAME is.")
@with_sentences
def create(name: str, role: str, no_password: bool, subject: str | None) -> None:
    """Make the user NAME. The password is asked for, or read as one line from the standard input."""
    name, bound = users.clean_name(name), _bound(subject)
    password = None if no_password or subject else _asked_password()
    with resources().database.write() as session:
        user_id = users.create(session, name, password, Role(role), bound)
        audit.append(session, Event("users.create", "ok", None, "command", user_id, {"role": role}))
    click.echo(f"{name} has the role {role}.")


@users_group.command("subject")
@click.argument("name")
@click.argument("subject", required=False)
@with_sentences
def rebind(name: str, subject: str | None) -> None:
    """Bind the user NAME to another SUBJECT of the provider; without one, to who takes the invitation next."""
    with resources().database.write() as session:
        user = users.named(session, name)
        users.bind(session, user, _bound(subject))
        audit.append(session, Event("users.subject", "ok", None, "command", user.id))


def _is_oidc() -> bool:
    return resources().settings.auth == "oidc"


def _bound(subject: str | None) -> str | None:
    issuer = resources().settings.oidc_issuer
    if subject and not issuer:
        raise click.ClickException("A subject is of a provider: set GLIOSCOPE_OIDC_ISSUER.")
    return oidc.subject_of(issuer, subject) if subject else None


@users_group.command("list")
@with_sentences
def show_users() -> None:
    """All users, with their roles."""
    with resources().database.read() as session:
        for user in users.every(session):
            marks = ("second factor" if user.totp_secret else "", "disabled" if user.disabled_at else "")
            click.echo("  ".join((user.id, f"{user.role.value:<10}", user.name, *filter(None, marks))))


@users_group.command("role")
@click.argument("name")
@click.argument("role", type=_ROLE)
@with_sentences
def role(name: str, role: str) -> None:
    """Give the user NAME another role."""
    with resources().database.write() as session:
        user = users.named(session, name)
        users.set_role(session, user, Role(role), by_oidc=_is_oidc())
        audit.append(session, Event("users.role", "ok", None, "command", user.id, {"role": role}))


@users_group.command("password")
@click.argument("name")
@with_sentences
def password(name: str) -> None:
    """Give the user NAME another password, which ends their sessions."""
    new = _asked_password()
    with resources().database.write() as session:
        user = users.named(session, name)
        users.set_password(session, user, new)
        audit.append(session, Event("users.password", "ok", None, "command", user.id))


@users_group.command("reset-second-factor")
@click.argument("name")
@with_sentences
def reset_second_factor(name: str) -> None:
    """Take the second factor and the recovery codes off the user NAME, who has lost them; ends their sessions."""
    with resources().database.write() as session:
        user = users.named(session, name)
        users.reset_second_factor(session, user)
        audit.append(session, Event("users.reset-second-factor", "ok", None, "command", user.id))


@users_group.command("disable")
@click.argument("name")
@with_sentences
def disable(name: str) -> None:
    """Let the user NAME in no more: sessions and tokens end, scans stay; `adopt` gives them to another."""
    with resources().database.write() as session:
        user = users.named(session, name)
        users.disable(session, user, by_oidc=_is_oidc())
        audit.append(session, Event("users.disable", "ok", None, "command", user.id))


@users_group.command("enable")
@click.argument("name")
@with_sentences
def enable(name: str) -> None:
    """Let the user NAME in again."""
    with resources().database.write() as session:
        user = users.named(session, name)
        users.enable(user)
        audit.append(session, Event("users.enable", "ok", None, "command", user.id))


@users_group.command("adopt")
@click.argument("name")
@click.option("--of", "former_name", help="Give what this user has, who is disabled.")
@with_sentences
def adopt(name: str, former_name: str | None) -> None:
    """Give the user NAME what was there before there were users, or what a user has who has left."""
    with resources().database.write() as session:
        user = users.named(session, name)
        former_id = users.left(session, former_name).id if former_name else ownership.LOCAL
        shared = studies.prepare_adoption(session, user.id, former_id, former_name or ownership.LOCAL)
        numbers = ownership.adopt(session, user.id, former_id)
        details = {"rows": numbers, "of": former_id}
        audit.append(session, Event("users.adopt", "ok", None, "command", user.id, details))
    click.echo(f"Of {user.name} now: {', '.join(f'{number} {table}' for table, number in numbers.items())}.")
    if shared.renamed:
        click.echo(
            f"Studies of whose name {user.name} has another: {shared.renamed}. They have"
            f" “({former_name or ownership.LOCAL})” behind their names; their pages can rename them."
        )
    if shared.patients:
        click.echo(
            f"Patients entered under one name in studies of both: {shared.patients}. Each is followed up as one person;"
            " where they are two, enter another name on the page of the study."
        )


@tokens_group.command("create")
@click.argument("name")
@click.option("--label", required=True, help="What it is for.")
@click.option("--scope", "scopes", type=click.Choice([scope.value for scope in Scope]), multiple=True, required=True)
@click.option("--days", type=click.IntRange(1, tokens.MOST_DAYS), default=tokens.DEFAULT_DAYS, show_default=True)
@with_sentences
def create_token(name: str, label: str, scopes: tuple[str, ...], days: int) -> None:
    """Make an API token of the user NAME; it is shown this once."""
    with resources().database.write() as session:
        user = users.named(session, name)
        row, text = tokens.create(session, user, label, map(Scope, scopes), days)
        audit.append(session, Event("tokens.create", "ok", None, "command", row.id, {"of": user.id}))
    click.echo(text)


@tokens_group.command("list")
@click.argument("name")
@with_sentences
def show_tokens(name: str) -> None:
    """The tokens of the user NAME."""
    with resources().database.read() as session:
        for row in tokens.of_user(session, users.named(session, name).id):
            click.echo(f"{row.id}  until {row.expires_at:%Y-%m-%d}  {','.join(row.scopes)}  {row.label}")


@tokens_group.command("revoke")
@click.argument("token_id")
@with_sentences
def revoke(token_id: str) -> None:
    """End a token."""
    with resources().database.write() as session:
        tokens.revoke(session, token_id)
        audit.append(session, Event("tokens.revoke", "ok", None, "command", token_id))


@audit_group.command("verify")
@click.option("--noted", help="NUMBER:DIGEST of a line, as an earlier `verify` printed it.")
@with_sentences
def verify(noted: str | None) -> None:
    """Compute the digest of every line again; 1 where one is not as it was written."""
    number, _, digest = (noted or "").partition(":")
    if noted is not None and not (number.isdecimal() and len(digest) == len(audit.START)):
        raise click.ClickException("--noted is NUMBER:DIGEST, as `audit verify` prints it.")
    with resources().database.read() as session:
        found = audit.verify(session, (int(number), digest) if noted else None)
    if found.broken_at is not None:
        raise click.ClickException(f"Line {found.broken_at} is not as it was written, or is missing.")
    cut = f" Those before line {found.first} were cut off by their age." if found.first > 1 else ""
    lines = found.last - found.first + 1
    click.echo(f"Sound: {lines} lines.{cut} Keep this elsewhere: {found.last}:{found.head}")


@audit_group.command("export")
@with_sentences
def export() -> None:
    """Print every line as JSON, one a line."""
    with resources().database.read() as session:
        for entry in audit.every(session):
            click.echo(json.dumps(audit.as_json(entry), sort_keys=True))
