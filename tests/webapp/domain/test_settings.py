"""The settings: defaults that run, values that cannot work refused by name, a secret of this instance."""

import stat
import threading
from pathlib import Path

import pytest
import redis

from tests.support.resources import make_settings
from webapp.domain.settings import SETTINGS, Settings, SettingsError, check_bind
from webapp.domain.settings.instance import LONGEST_SOCKET_PATH


def test_the_defaults_run_on_one_machine(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    instance = tmp_path / "instance"
    assert settings.database_url == f"sqlite:///{instance / 'glioscope.sqlite3'}"
    assert settings.redis_url == f"unix://{settings.socket_path}" and settings.has_embedded_redis
    assert settings.storage == str(instance / "storage")
    assert (settings.auth, settings.bind) == ("local", "127.0.0.1:8000")
    assert settings.max_upload_bytes == 100_000_000
    assert settings.lease_s >= 3 * settings.heartbeat_s


def test_every_value_is_shown_as_its_variable_has_it(tmp_path: Path) -> None:
    """The page of administrators said None for "off", 15.0 for 15 and 1073.74 MB for 1024."""
    variables = {
        "GLIOSCOPE_INSTANCE": str(tmp_path),
        "GLIOSCOPE_DICOM_PEERS": "A@b:104,C@d:1",
        "GLIOSCOPE_DICOM_RETRY_S": "1296001.5",
    }
    settings = Settings.from_environment(variables)
    shown = {entry.name: entry.written(getattr(settings, field)) for field, entry in SETTINGS.items()}

    assert (shown["GLIOSCOPE_RETENTION_DAYS"], shown["GLIOSCOPE_WORKER_THREADS"]) == ("off", "0")
    assert (shown["GLIOSCOPE_LEASE_S"], shown["GLIOSCOPE_DICOM_BIND"]) == ("15", "127.0.0.1:11112")
    assert (shown["GLIOSCOPE_DECODE_MEMORY_MB"], shown["GLIOSCOPE_MAX_UPLOAD_MB"]) == ("1024 MiB", "100 MB")
    assert shown["GLIOSCOPE_DICOM_PEERS"] == "A@b:104, C@d:1"
    assert (shown["GLIOSCOPE_DICOM_RETRY_S"], shown["GLIOSCOPE_SWEEP_S"]) == ("1296001.5", "5")
    for field, entry in SETTINGS.items():
        if entry.name != "GLIOSCOPE_ALLOWED_HOSTS":  # this machine's names are added to it
            text = shown[entry.name].removesuffix(" MB").removesuffix(" MiB")
            assert entry.parse(entry.name, text) == getattr(settings, field), entry.name


def test_the_embedded_broker_is_found_in_a_folder_of_an_odd_name(tmp_path: Path) -> None:
    odd = Settings.from_environment({"GLIOSCOPE_INSTANCE": str(tmp_path / "a b%20?#ü")})
    assert odd.socket_path == tmp_path / "a b%20?#ü" / "redis.sock"
    assert redis.Redis.from_url(odd.redis_url).connection_pool.connection_kwargs["path"] == str(odd.socket_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GLIOSCOPE_MAX_UPLOAD_MB", "0"),
        ("GLIOSCOPE_MAX_UPLOAD_MB", "-1"),
        ("GLIOSCOPE_MAX_UPLOAD_MB", "1e3"),
        ("GLIOSCOPE_MAX_UPLOAD_MB", "9" * 5000),
        ("GLIOSCOPE_MAX_FILES", "many"),
        ("GLIOSCOPE_LEASE_S", "nan"),
        ("GLIOSCOPE_LEASE_S", "inf"),
        ("GLIOSCOPE_JOB_TIMEOUT_S", "0"),
        ("GLIOSCOPE_AUTH", "none"),
        ("GLIOSCOPE_RETENTION_DAYS", "0"),
        ("GLIOSCOPE_RETENTION_DAYS", "-1"),
        ("GLIOSCOPE_RETENTION_DAYS", "1.5"),
        ("GLIOSCOPE_RETENTION_DAYS", "forever"),
        ("GLIOSCOPE_RETENTION_DAYS", "99999"),
        ("GLIOSCOPE_ENGINE", "tensorflow"),
        ("GLIOSCOPE_STORAGE", "s3://Bucket"),
        ("GLIOSCOPE_STORAGE", "s3://bucket/../other"),
        ("GLIOSCOPE_STORAGE", "gs://bucket"),
        ("GLIOSCOPE_SECRET_KEY", "short"),
        ("DATABASE_URL", "glioscope.sqlite3"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "http://localhost:6379"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://:pass/word@data:6379/0"),
        ("REDIS_URL", "redis://data:port/0"),
        ("GLIOSCOPE_INSTANCE", "~/glioscope"),
        ("GLIOSCOPE_STORAGE", "~/storage"),
        ("GLIOSCOPE_MODELS", "/srv/models:~/models"),
        ("GLIOSCOPE_STORAGE", '"/srv/scans"'),
        ("GLIOSCOPE_STORAGE", "$HOME/scans"),
        ("GLIOSCOPE_AUTH", "'local'"),
        ("GLIOSCOPE_EVALUATION_ROOTS", "/srv/no-a,/srv/no-b"),
        ("GLIOSCOPE_EVALUATION_ROOTS", "/srv/no-a; /srv/no-b"),
        ("GLIOSCOPE_ALLOWED_HOSTS", "https://glioscope.example.org/"),
        ("GLIOSCOPE_ALLOWED_HOSTS", "glioscope.example.org *"),
        ("GLIOSCOPE_ALLOWED_HOSTS", ".example.org"),
        ("GLIOSCOPE_ALLOWED_HOSTS", "['glioscope.example.org']"),
        ("GLIOSCOPE_ALLOWED_HOSTS", "glioscope.example.org."),
        ("GLIOSCOPE_ALLOWED_HOSTS", "klinik-müller.example"),
        ("GLIOSCOPE_ALLOWED_HOSTS", "fe80::1"),
        ("DATABASE_URL", "postgresql+psycopg2://me@data/glioscope"),
        ("DATABASE_URL", '"postgresql://me@data/glioscope"'),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        make_settings(tmp_path, **{name: value})
    assert "short" not in str(caught.value) or name != "GLIOSCOPE_SECRET_KEY"


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("GLIOSCOPE_MAX_FILES", "many", "a whole number from 1 to 1000000000"),
        ("GLIOSCOPE_SWEEP_S", "-1", "a number above 0 and below 1000000000"),
        ("GLIOSCOPE_ENGINE", "tensorflow", "one of: auto, torch, openvino"),
        ("GLIOSCOPE_STORAGE", "ftp://bucket", "a folder, or s3://BUCKET/PREFIX"),
    ],
)
def test_a_refusal_names_the_value_and_the_limit(tmp_path: Path, name: str, value: str, limit: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is '{value}'; it must be {limit}"):
        make_settings(tmp_path, **{name: value})


@pytest.mark.parametrize(
    "url",
    ["redis://data", "redis://:a%2Fb@data:6379/0", "rediss://data:6379/0", "unix:///run/r.sock", "redis://[::1]:1/0"],
)
def test_a_broker_of_ones_own_is_named_by_its_url(tmp_path: Path, url: str) -> None:
    assert make_settings(tmp_path, REDIS_URL=url).redis_url == url
    redis.Redis.from_url(url).close()


def test_a_variable_that_is_called_like_a_setting_and_is_none_is_said() -> None:
    """A misspelled one would be heard of when nothing was ever deleted."""
    said = Settings.unknown_variables(
        {
            "GLIOSCOPE_RETENTION_DAY": "30",
            "GLIOSCOPE_XYZZY": "1",
            "GLIOSCOPE_AUTH": "local",
            "GLIOSCOPE_TEST_DATA": "/x",
        }
    )
    assert said == [
        "GLIOSCOPE_RETENTION_DAY is no setting, and does nothing; did you mean GLIOSCOPE_RETENTION_DAYS?",
        "GLIOSCOPE_XYZZY is no setting, and does nothing.",
    ]


def test_a_heartbeat_that_a_lease_cannot_outlive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="GLIOSCOPE_HEARTBEAT_S"):
        make_settings(tmp_path, GLIOSCOPE_LEASE_S="10", GLIOSCOPE_HEARTBEAT_S="10")


def test_hosts_are_names_and_addresses_with_or_without_a_port(tmp_path: Path) -> None:
    names = "Glioscope.example.org:8443,node-1 web_1 10.0.0.7 [fe80::1]:8000 xn--klinik-mller-0hb.example"
    found = make_settings(tmp_path, GLIOSCOPE_ALLOWED_HOSTS=names).allowed_hosts
    assert found[3:] == tuple(names.replace(",", " ").split())


def test_a_folder_with_a_comma_in_its_name_is_one(tmp_path: Path) -> None:
    (tmp_path / "a,").mkdir()
    (tmp_path / "a," / "b").mkdir()
    odd = str(tmp_path / "a," / "b")
    assert make_settings(tmp_path, GLIOSCOPE_EVALUATION_ROOTS=odd).evaluation_roots == (Path(odd),)


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    assert make_settings(tmp_path, GLIOSCOPE_MAX_FILES=" ", REDIS_URL="") == make_settings(tmp_path)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_postgresql_url_names_the_driver_that_is_installed(tmp_path: Path, scheme: str) -> None:
    assert make_settings(tmp_path, DATABASE_URL=f"{scheme}://u@h/d").database_url == "postgresql+psycopg://u@h/d"


def test_no_secret_is_the_same_in_two_instances_or_seen_in_a_log(tmp_path: Path) -> None:
    one, other = make_settings(tmp_path / "one"), make_settings(tmp_path / "other")
    assert len(one.secret_key) == 64 and one.secret_key != other.secret_key
    assert make_settings(tmp_path / "one").secret_key == one.secret_key
    assert one.secret_key not in repr(one)


def test_the_secret_is_this_accounts_alone(tmp_path: Path) -> None:
    make_settings(tmp_path)
    assert stat.S_IMODE((tmp_path / "instance" / "secret_key").stat().st_mode) == 0o600


def test_two_first_starts_at_once_read_one_secret(tmp_path: Path) -> None:
    barrier, found = threading.Barrier(8), []

    def start() -> None:
        barrier.wait()
        found.append(make_settings(tmp_path).secret_key)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1
    assert [path.name for path in (tmp_path / "instance").iterdir()] == ["secret_key"]


def test_a_cut_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "secret_key").write_text("abc")
    with pytest.raises(SettingsError, match="shorter than 32"):
        make_settings(tmp_path)


def test_a_long_instance_path_gets_a_socket_that_can_be_opened(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / ("d" * 100))
    assert len(bytes(settings.socket_path)) <= LONGEST_SOCKET_PATH


@pytest.mark.parametrize("address", [("127.0.0.1", 80), ("::1", 80), ("[::1]", 80), ("localhost", 80), "/run/g.sock"])
def test_local_mode_listens_on_this_machine(address: tuple[str, int] | str, tmp_path: Path) -> None:
    check_bind(make_settings(tmp_path), address)
    check_bind(make_settings(tmp_path, GLIOSCOPE_AUTH="password"), address)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "example.org", "127.0.0.1.example.org"])
def test_local_mode_refuses_an_address_that_others_reach(host: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="will not listen"):
        check_bind(make_settings(tmp_path), (host, 8000))


def test_with_users_it_listens_where_others_reach_it_once_nothing_is_missing(tmp_path: Path) -> None:
    given = {"GLIOSCOPE_AUTH": "password"}
    address = ("0.0.0.0", 8000)
    with pytest.raises(SettingsError, match=r"GLIOSCOPE_ALLOWED_HOSTS.* and GLIOSCOPE_TRUSTED_PROXIES"):
        check_bind(make_settings(tmp_path, **given), address)
    given["GLIOSCOPE_ALLOWED_HOSTS"] = "mri.example"
    with pytest.raises(SettingsError, match="set GLIOSCOPE_TRUSTED_PROXIES"):
        check_bind(make_settings(tmp_path, **given), address)
    check_bind(make_settings(tmp_path, **given, GLIOSCOPE_TRUSTED_PROXIES="1"), address)
