"""What a server needs before it can answer: checkpoint chosen, caches open, model loading."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch

from sam_backend.engine.served_model import ServedModel
from sam_backend.sam.checkpoints import choose_device, load
from sam_backend.sam.embeddings import (
    DiskEmbeddings,
    EmbeddingCache,
    LayeredEmbeddings,
    MemoryEmbeddings,
    RedisEmbeddings,
    WriteBehind,
)
from sam_backend.sam.families import family_named
from sam_backend.sam.segmenter import Segmenter, model_version
from sam_backend.settings import Settings
from sam_backend.store.models import ModelEntry, open_store

log = logging.getLogger(__name__)

MEGABYTE = 1024 * 1024

STARTER_NOTE = (
    "This is the small starter model that ships with sam_backend: good for simple scenes and for "
    "trying things out. For real work get Meta's ViT-B (375 MB): sam-backend models pull vit_b, "
    "then restart."
)


@dataclass(frozen=True, slots=True)
class Caches:
    """The embedding caches that the settings ask for.

    Attributes:
        all: Every layer as one cache, fastest first.
        memory: The layer in this process.
        redis: The layer shared with other processes; None without.
        close: Writes what waits and closes connections.
    """

    all: EmbeddingCache
    memory: MemoryEmbeddings
    redis: RedisEmbeddings | None
    close: Callable[[], None]


def open_caches(settings: Settings) -> Caches:
    """Memory, then disk, then Redis; the slow ones are written behind the answer."""
    memory = MemoryEmbeddings(settings.cache_memory_mb * MEGABYTE)
    behind: list[WriteBehind] = []
    if settings.cache_disk_mb:
        folder = settings.data_dir / "embeddings"
        behind.append(WriteBehind(DiskEmbeddings(folder, settings.cache_disk_mb * MEGABYTE)))
    redis = None
    if settings.redis_url is not None:
        redis = RedisEmbeddings(settings.redis_url.get_secret_value())
        behind.append(WriteBehind(redis))

    def close() -> None:
        for layer in behind:
            layer.close()
        if redis is not None:
            redis.close()

    return Caches(LayeredEmbeddings([memory, *behind]), memory, redis, close)


def serve_checkpoint(settings: Settings, cache: EmbeddingCache) -> tuple[ModelEntry, ServedModel]:
    """Choose the checkpoint and start loading it; says which, and whether it is a starter.

    Raises:
        ModelStoreError: The named model is not in the store, or the store is empty.
        InvalidInputError: The device is not here.
    """
    store = open_store(settings)
    entry = store.get(settings.model) if settings.model else store.best()
    device = choose_device(settings.device)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    side = family_named(entry.card.family).build_without_weights().image_encoder.img_size
    version = model_version(entry.version, entry.card.sha256, side)
    log.info("serving %s on %s", version, device)
    if entry.card.family == "starter":
        log.warning(STARTER_NOTE)
    model = ServedModel(version, lambda: Segmenter.of(load(entry.folder, device)), cache)
    return entry, model
