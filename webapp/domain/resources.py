"""What every service needs, opened once a process: settings, database, storage, queue, models, decoder."""

from dataclasses import dataclass

from ml.sandbox.decoder import Decoder
from ml.scans import Limits
from webapp.domain.catalog.entries import Catalog
from webapp.domain.database.engine import Database
from webapp.domain.jobs.broker import Queue
from webapp.domain.jobs.endings import Endings
from webapp.domain.scans.image_cache import ImageCache
from webapp.domain.settings import Settings
from webapp.domain.stages import Stages
from webapp.domain.storage.folders import Folders
from webapp.domain.storage.interface import Storage
from webapp.domain.storage.place import open_storage
from webapp.domain.tracing import Traces

# Some 4,000 thumbnails of lists, or the pictures of a day's reading.
IMAGE_CACHE_BYTES = 16 * 1_048_576
# The sweeper deletes visitors' scans, and cannot reach the pictures in the memory of the web process.
VISITORS_IMAGES_KEPT_S = 300.0


@dataclass(frozen=True)
class Resources:
    """The services' context. Nothing here is connected until it is used, so that a process may fork after `open`."""

    settings: Settings
    database: Database
    storage: Storage
    folders: Folders
    queue: Queue
    endings: Endings
    catalog: Catalog
    decoder: Decoder
    images: ImageCache
    traces: Traces
    stages: Stages

    @classmethod
    def open(cls, settings: Settings) -> "Resources":
        """A portal over these settings."""
        return cls(
            settings=settings,
            database=Database(settings.database_url),
            storage=open_storage(settings.storage, settings.instance_dir),
            folders=Folders(settings.folders_dir),
            queue=Queue(settings.redis_url),
            endings=Endings(settings.redis_url),
            catalog=Catalog(settings.model_directories, settings.default_model),
            decoder=Decoder(
                Limits(max_bytes=settings.max_upload_bytes, max_slices=settings.max_slices),
                memory_bytes=settings.decode_memory_bytes,
                timeout_s=settings.decode_timeout_s,
            ),
            traces=Traces(settings.traces),
            stages=Stages(),
            images=ImageCache(IMAGE_CACHE_BYTES, VISITORS_IMAGES_KEPT_S if settings.auth == "demo" else None),
        )

    def close(self) -> None:
        """Give every connection back."""
        self.database.dispose()
        self.storage.close()
        self.queue.close()
        self.endings.close()
        self.decoder.close()
        self.traces.close()
