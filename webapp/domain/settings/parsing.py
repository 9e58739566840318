"""Types of settings: how the text of an environment variable becomes a value, or a sentence about what is wrong."""

import importlib.util
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast
from urllib.parse import urlsplit

T = TypeVar("T")
# Reads the text of the variable that is named first. Raises SettingsError.
Parser = Callable[[str, str], T]

SHORTEST_SECRET = 32
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
# A bucket's name by Amazon's rules, and a prefix of our keys' own characters.
_BUCKET_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/(?:[a-z0-9]+(?:[/._-][a-z0-9]+)*)?/?)?")
# Above every sensible size, and far below where sizes in bytes would leave 64 bits.
_MOST = 10**9
_MIB = 1_048_576
# Of keeping anything: a hundred years.
MOST_DAYS = 36_500


# PS3.5 table 6.2-1: the default repertoire without backslash; no comma and @, which separate peers here.
_AE_TITLE = re.compile(r"[!-+\--?A-\[\]-~](?:[ -+\--?A-\[\]-~]{0,14}[!-+\--?A-\[\]-~])?")
_PORTS = range(1, 65_536)
# A name or an address, as the header Host has it, with or without a port.
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_POSTGRES = ("postgres", "postgresql", "postgresql+psycopg")


@dataclass(frozen=True)
class Peer:
    """A DICOM node of others: its application entity title, and where it listens."""

    title: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.title}@{self.host}:{self.port}"


class SettingsError(Exception):
    """A setting has a value that cannot work; the message names the variable, the value and the remedy."""


@dataclass(frozen=True)
class Setting:
    """One environment variable, as read and as documented.

    default: the text that stands for a variable not set; `{project}` is the checkout, `{instance}` the instance folder,
        `{local}` the storage, or the instance folder where that is no folder.
    meaning, default_words: its row in docs/settings.md; without words the default itself is shown.
    is_secret: its value stays out of the repr of Settings, and is shown to nobody.
    """

    name: str
    default: str
    parse: Parser[object]
    meaning: str
    default_words: str
    is_secret: bool

    @property
    def documented_default(self) -> str:
        """The default in Markdown."""
        return self.default_words or f"`{self.default}`"

    def written(self, value: object) -> str:
        """The value as its variable has it, not as the program does; what counts megabytes has its unit behind it."""
        if value is None:
            return "off" if self.parse is days_or_off else "0"
        if isinstance(value, tuple):
            return _written_words(self.parse, value)
        if self.name.endswith("_MB") and isinstance(value, int):
            unit = cast(int, self.parse(self.name, "1"))
            return f"{value // unit} {'MiB' if unit == _MIB else 'MB'}"
        return f"{value:.15g}" if isinstance(value, float) else str(value)


def _written_words(parse: Parser[object], value: tuple[object, ...]) -> str:
    if parse is address:
        return ":".join(map(str, value))
    if parse is folders:
        return os.pathsep.join(map(str, value))
    return ", ".join(map(str, value))


def setting(
    name: str, default: str, parse: Parser[T], meaning: str, default_words: str = "", *, is_secret: bool = False
) -> T:
    """A field of a group of settings that is read from the variable `name`."""
    entry = Setting(name, default, parse, meaning, default_words, is_secret)
    # A dataclass field stands in the class body where its value will be, as with dataclasses.field itself.
    return cast(T, field(repr=not is_secret, metadata={"setting": entry}))


def text(_name: str, value: str) -> str:
    """Any text."""
    return value


def secret(name: str, value: str) -> str:
    """Empty, or long enough that nobody guesses it. The message does not repeat it."""
    if 0 < len(value) < SHORTEST_SECRET:
        raise SettingsError(f"{name} has {len(value)} characters; it must have at least {SHORTEST_SECRET}.")
    return value


def issuer(name: str, value: str) -> str:
    """Empty, or the address of an OpenID Connect provider as it calls itself."""
    if value and not is_safe_url(value):
        raise SettingsError(f"{name} is {value[:80]!r}; it must be https://HOST/..., without a query.")
    return value


def is_safe_url(value: str) -> bool:
    """Whether what is sent there is read by nobody on the way: TLS, or a server of this machine."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    is_here = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    is_tls = parts.scheme == "https" and bool(parts.hostname)
    return (is_tls or is_here) and not (parts.query or parts.fragment or parts.username or parts.password)


def unquoted(name: str, value: str) -> str:
    """The value; one in quotes, which a shell takes off and a list of variables of Docker does not, is refused."""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        raise SettingsError(f"{name} is {value[:60]!r}; nothing has taken off its quotes: write it without.")
    return value


def hosts(name: str, value: str) -> tuple[str, ...]:
    """Host names separated by commas or spaces, behind those of this machine."""
    names = value.replace(",", " ").split()
    for word in names:
        if not _HOST.fullmatch(word):
            raise SettingsError(
                f"{name} has {word[:60]!r}; a host is its name alone, such as glioscope.example.org: no https://, path"
                " or *, and letters beyond ASCII as browsers send them (xn--...)."
            )
    return LOCAL_HOSTS + tuple(names)


def folder(name: str, value: str) -> Path:
    """One absolute path."""
    if value.startswith(("~", "$")):
        raise SettingsError(f"{name} is {value[:60]!r}; nothing but a shell reads {value[0]}: write the whole path.")
    return Path(value).absolute()


def folders(name: str, value: str) -> tuple[Path, ...]:
    """Absolute paths, separated as in PATH."""
    found = tuple(folder(name, word) for word in value.split(os.pathsep) if word)
    for path in found:
        if re.search(r"[,;] */", str(path)) and not path.exists():
            raise SettingsError(f"{name} has {str(path)[:60]!r}, which is no folder; several are separated by :")
    return found


def redis_url(name: str, value: str) -> str:
    """Empty, or the address of a Redis server. The message does not repeat the value, which may hold a password."""
    wanted = f"{name} must be redis://HOST:PORT/0, rediss://HOST:PORT/0 or unix://FILE"
    if not value:
        return value
    try:
        parts = urlsplit(value)
        is_placed = bool(parts.path if parts.scheme == "unix" else parts.hostname and parts.port != 0)
    except ValueError as error:
        raise SettingsError(f"{wanted}, a password's signs as %40 and so on.") from error
    if parts.scheme not in ("redis", "rediss", "unix") or not is_placed:
        raise SettingsError(f"{wanted}.")
    return value


def ae_title(name: str, value: str) -> str:
    """An application entity title of DICOM."""
    if not _AE_TITLE.fullmatch(value):
        raise SettingsError(f"{name} is {value[:40]!r}; it must be 1 to 16 letters, digits and signs without , and @.")
    return value


def peers(name: str, value: str) -> tuple[Peer, ...]:
    """`AE@host:port`, separated by commas; titles are told apart."""
    found = []
    for word in filter(None, (part.strip() for part in value.split(","))):
        title, at, where = word.partition("@")
        host, _, port = where.rpartition(":")
        if not at or not host or not port.isdecimal() or int(port) not in _PORTS or not _AE_TITLE.fullmatch(title):
            raise SettingsError(f"{name} has {word[:60]!r}; a peer is AE@host:port, such as PACS@10.0.0.5:104.")
        found.append(Peer(title, host.strip("[]"), int(port)))
    if len({peer.title for peer in found}) < len(found):
        raise SettingsError(f"{name} names one title twice; each peer has a title of its own.")
    return tuple(found)


def address(name: str, value: str) -> tuple[str, int]:
    """`host:port`, with an IPv6 address in brackets. A port of 0 is one that the system chooses."""
    host, _, port = value.rpartition(":")
    is_host = re.fullmatch(r"\[[0-9A-Fa-f:.%]+\]|[^\[\]:/\s]+", host)
    if not is_host or not port.isdecimal() or int(port) not in (0, *_PORTS):
        raise SettingsError(
            f"{name} is {value[:60]!r}; it must be a host and a port, such as 127.0.0.1:8000 or [::1]:8000."
        )
    return host.strip("[]"), int(port)


def http_url(name: str, value: str) -> str:
    """Empty, or the address of an HTTP service, without a password in it. The message does not repeat the value."""
    if value and not re.fullmatch(r"https?://[^@?#\s]+", value):
        raise SettingsError(f"{name} must begin with https:// or http://, and have no password, ? and #.")
    return value.rstrip("/")


def collector(name: str, value: str) -> str:
    """Empty, or where OpenTelemetry's traces are sent."""
    address = http_url(name, value)
    if address and importlib.util.find_spec("opentelemetry") is None:
        raise SettingsError(f"{name} needs more packages: pip install -r requirements-traces.txt")
    return address


def choice(*allowed: str) -> Parser[str]:
    """One of these words."""

    def parse(name: str, value: str) -> str:
        if value not in allowed:
            raise SettingsError(f"{name} is {value!r}; it must be one of: {', '.join(allowed)}.")
        return value

    return parse


def seconds(name: str, value: str) -> float:
    """A finite number above 0."""
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not 0 < number < _MOST:
        raise SettingsError(f"{name} is {value[:40]!r}; it must be a number above 0 and below {_MOST}.")
    return number


def whole(*, least: int = 1, times: int = 1) -> Parser[int]:
    """A whole number of at least `least`, multiplied by `times`: megabytes become bytes."""

    def parse(name: str, value: str) -> int:
        if not value.isdecimal() or len(value) > 10 or not least <= int(value) <= _MOST:
            raise SettingsError(f"{name} is {value[:40]!r}; it must be a whole number from {least} to {_MOST}.")
        return int(value) * times

    return parse


def days_or_off(name: str, value: str) -> int | None:
    """A number of days from 1 up; `off` is None."""
    if value == "off":
        return None
    if not value.isdecimal() or len(value) > 10 or not 1 <= int(value) <= MOST_DAYS:
        raise SettingsError(f"{name} is {value[:40]!r}; it must be off, or a whole number from 1 to {MOST_DAYS}.")
    return int(value)


def database_url(name: str, value: str) -> str:
    """The URL with the driver that is installed: `postgres://` and `postgresql://` mean psycopg 3.

    The message does not repeat the value, which may hold a password.
    """
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in ("sqlite", *_POSTGRES):
        raise SettingsError(f"{name} must begin with sqlite:///, or with postgresql://, and name no other driver.")
    return f"postgresql+psycopg://{rest}" if scheme in _POSTGRES else value


def storage_place(name: str, value: str) -> str:
    """The absolute path of a folder, or `s3://BUCKET` with or without a prefix."""
    if not value.startswith("s3://"):
        if "://" in value:
            raise SettingsError(f"{name} is {value[:40]!r}; it must be a folder, or s3://BUCKET/PREFIX.")
        return str(folder(name, value))
    if not _BUCKET_URL.fullmatch(value):
        raise SettingsError(
            f"{name} is {value[:60]!r}; it must be s3://BUCKET or s3://BUCKET/PREFIX in small letters, digits"
            " and `.-_/`."
        )
    if importlib.util.find_spec("boto3") is None:
        raise SettingsError(f"{name} names a bucket, which needs boto3: pip install -r requirements-s3.txt")
    return value.rstrip("/")


def threads(name: str, value: str) -> int | None:
    """A number of threads; 0 is None, for as many as the engine likes."""
    return whole(least=0)(name, value) or None
