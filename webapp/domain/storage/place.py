"""Which store of bytes a setting names."""

from pathlib import Path

from webapp.domain.storage.interface import Storage
from webapp.domain.storage.local import LocalStorage

MARK = "storage-was-there"


def open_storage(place: str, instance_dir: Path) -> Storage:
    """The store at `place`, a folder or `s3://BUCKET/PREFIX`; nothing is connected until it is used.

    instance_dir: where a bucket's temporary files lie, and the mark of a folder elsewhere, which may not be mounted.
    """
    if not place.startswith("s3://"):
        root = Path(place)
        return LocalStorage(root, None if root.is_relative_to(instance_dir) else instance_dir / MARK)
    # boto3 takes memory and time that a portal over a folder need not spend.
    from webapp.domain.storage.bucket import BucketStorage

    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    return BucketStorage(bucket, prefix, instance_dir / "temporary")
