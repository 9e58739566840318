"""Settings of access: who may come in, by which address, and what is told to others."""

from dataclasses import dataclass

from webapp.domain.settings.parsing import choice, collector, days_or_off, hosts, issuer, secret, setting, text, whole


@dataclass(frozen=True)
class Access:
    """Who may come in."""

    auth: str = setting(
        "GLIOSCOPE_AUTH",
        "local",
        choice("local", "password", "oidc", "demo"),
        "`local`: one implicit user; the portal then refuses to listen on an address that others reach. `password`:"
        " users with roles, who log in; the first administrator is made on the command line. `oidc`: the same users,"
        " who log in at an OpenID Connect provider. `demo`: anybody may try it without a login; each browser sees its"
        " own scans alone, and they go by themselves (docs/security.md)",
    )
    second_factor: str = setting(
        "GLIOSCOPE_SECOND_FACTOR",
        "optional",
        choice("optional", "admins", "all"),
        "with `password`: who must have a second factor, a code of an authenticator: `optional` leaves it to each"
        " user, `admins` asks administrators for it, `all` everybody; who has none is led to set it up before anything"
        " else (docs/security.md)",
    )
    audit_days: int | None = setting(
        "GLIOSCOPE_AUDIT_DAYS",
        "off",
        days_or_off,
        "days after which lines of the audit log are cut off (docs/security.md); `off` keeps them",
        "`365` with `GLIOSCOPE_AUTH=local`, otherwise `off`",
    )
    oidc_issuer: str = setting(
        "GLIOSCOPE_OIDC_ISSUER",
        "",
        issuer,
        "with `oidc`: the provider, as its `.well-known/openid-configuration` names itself; `https://...`",
        "none",
    )
    oidc_client_id: str = setting(
        "GLIOSCOPE_OIDC_CLIENT_ID", "", text, "with `oidc`: the name under which the provider knows this portal", "none"
    )
    oidc_client_secret: str = setting(
        "GLIOSCOPE_OIDC_CLIENT_SECRET",
        "",
        text,
        "with `oidc`: the secret that the provider gave this portal",
        "none",
        is_secret=True,
    )
    oidc_default_role: str = setting(
        "GLIOSCOPE_OIDC_DEFAULT_ROLE",
        "none",
        choice("none", "viewer", "researcher"),
        "with `oidc`: the role of people whom the provider knows and nobody invited; `none` refuses them",
    )
    bind: str = setting("GLIOSCOPE_BIND", "127.0.0.1:8000", text, "host and port of the web server")
    allowed_hosts: tuple[str, ...] = setting(
        "GLIOSCOPE_ALLOWED_HOSTS",
        "",
        hosts,
        "further host names, beside `127.0.0.1`, `localhost` and `[::1]`, that are answered; separated by commas or"
        " spaces",
        "none",
    )
    trusted_proxies: int = setting(
        "GLIOSCOPE_TRUSTED_PROXIES",
        "0",
        whole(least=0),
        "proxies in a row in front of the portal whose `X-Forwarded-Proto` and `X-Forwarded-For` are believed; with"
        " TLS at the first, cookies are then sent over TLS alone",
    )
    hsts_subdomains: str = setting(
        "GLIOSCOPE_HSTS_SUBDOMAINS",
        "off",
        choice("off", "on"),
        "`on`: browsers ask names below the portal's own over TLS alone, too (HSTS with `includeSubDomains`), for a"
        " year; only where all of them have TLS",
    )
    monai_label: str = setting(
        "GLIOSCOPE_MONAI_LABEL",
        "off",
        choice("off", "on"),
        "`on`: 3D Slicer segments and submits labels by MONAI Label's protocol under `/monai`",
    )
    traces: str = setting(
        "GLIOSCOPE_TRACES",
        "",
        collector,
        "where traces of jobs are sent, OTLP over HTTP: `http://HOST:4318/v1/traces`; needs `requirements-traces.txt`",
        "none",
    )
    log: str = setting(
        "GLIOSCOPE_LOG",
        "text",
        choice("text", "json"),
        "the form of every process's log: `text`, or `json`, an object a line with the ids of the request, or of the"
        " job and its attempt (docs/operations.md)",
    )
    secret_key: str = setting(
        "GLIOSCOPE_SECRET_KEY",
        "",
        secret,
        "signs sessions and form tokens; at least 32 characters, the same for all web processes",
        "random, kept in the instance folder with mode 0600",
        is_secret=True,
    )
