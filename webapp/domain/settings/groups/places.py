"""Settings of places: where the data of an instance are, how long they stay, and where models come from."""

from dataclasses import dataclass
from pathlib import Path

from webapp.domain.settings.parsing import database_url, days_or_off, folder, folders, redis_url, setting, storage_place


@dataclass(frozen=True)
class Places:
    """Where things are."""

    instance_dir: Path = setting(  # noqa: RUF009  it is a dataclass field
        "GLIOSCOPE_INSTANCE",
        "{project}/instance",
        folder,
        "the folder of this instance: database, storage, secret, Redis socket; made with mode 0700",
        "`instance` in the checkout",
    )
    database_url: str = setting(
        "DATABASE_URL",
        "sqlite:///{instance}/glioscope.sqlite3",
        database_url,
        "`sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`; several machines need PostgreSQL",
        "SQLite in the instance folder",
    )
    redis_url: str = setting(
        "REDIS_URL",
        "",
        redis_url,
        "`redis://HOST:PORT/0`, `rediss://...` or `unix://FILE`; set, no Redis of our own is started. `make run` alone"
        " starts the embedded one; started by hand, worker and web need this variable",
        "an embedded Redis on a Unix socket",
    )
    storage: str = setting(
        "GLIOSCOPE_STORAGE",
        "{instance}/storage",
        storage_place,
        "the folder of originals, decoded stacks and probability maps, or `s3://BUCKET/PREFIX` of an S3-compatible"
        " store (needs `requirements-s3.txt`; endpoint and credentials from the variables `AWS_...`); shared by web"
        " and workers",
        "`storage` in the instance folder",
    )
    folders_dir: Path = setting(  # noqa: RUF009  it is a dataclass field
        "GLIOSCOPE_FOLDERS",
        "{local}/folders",
        folder,
        "the folder of unpacked data sets and of reports in the making; web and workers must see it under the same"
        " path",
        "`folders` in the storage folder; with a bucket `folders` in the instance folder",
    )
    retention_days: int | None = setting(
        "GLIOSCOPE_RETENTION_DAYS",
        "off",
        days_or_off,
        "days after which scans (from their upload) and evaluations (from their start) are deleted with everything of"
        " them (docs/security.md); `off` keeps them",
    )
    model_directories: tuple[Path, ...] = setting(
        "GLIOSCOPE_MODELS",
        "{project}/ml/weights",
        folders,
        "folders with model packages, separated by `:`; the first package of a name is used",
        "`ml/weights` in the checkout",
    )
