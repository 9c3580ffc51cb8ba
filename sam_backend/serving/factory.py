"""What a server needs before it can answer: checkpoint chosen, caches open, model loading."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from sam_backend.sam.embeddings import (
    DiskEmbeddings,
    EmbeddingCache,
    LayeredEmbeddings,
    MemoryEmbeddings,
    RedisEmbeddings,
    WriteBehind,
)
from sam_backend.serving.champion import Champion
from sam_backend.serving.model_choice import ModelChoice
from sam_backend.serving.served_model import Checkpoint
from sam_backend.settings import Settings
from sam_backend.store.cards import ModelCard
from sam_backend.store.models import open_store

log = logging.getLogger(__name__)

MEGABYTE = 1024 * 1024

STARTER_FAMILIES = ("starter", "starter_lite")
STARTER_NOTE = (
    "This is the small starter model that ships with sam_backend: quick, and good at clear objects "
    "of everyday photos. For thin or crowded things, other kinds of pictures and exact outlines "
    "get Meta's ViT-B (375 MB): sam-backend models pull vit_b, then "
    "sam-backend models promote vit_b-01ec64."
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
        secret = settings.redis_secret
        redis = RedisEmbeddings(
            settings.redis_url.get_secret_value(),
            secret="" if secret is None else secret.get_secret_value(),
        )
        behind.append(WriteBehind(redis))

    def close() -> None:
        for layer in behind:
            layer.close()
        if redis is not None:
            redis.close()

    return Caches(LayeredEmbeddings([memory, *behind]), memory, redis, close)


def is_starter(card: ModelCard) -> bool:
    """True for a starter as it ships; one that was retrained is somebody's own."""
    return card.family in STARTER_FAMILIES and card.parent is None


def chosen_checkpoint(settings: Settings) -> Checkpoint:
    """Return the checkpoint that is served now, without loading it.

    Raises:
        ModelStoreError: The named model is not in the store, or the store is empty.
    """
    return ModelChoice(settings, open_store(settings)).checkpoint()


def serve_champion(settings: Settings, choice: ModelChoice, cache: EmbeddingCache) -> Champion:
    """Start loading the checkpoint that is chosen now.

    Raises:
        ModelStoreError: The named model is not in the store, or the store is empty.
    """
    checkpoint = choice.checkpoint()
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    log.info("serving %s on %s", checkpoint.model_version, choice.device)
    if is_starter(checkpoint.card):
        log.warning(STARTER_NOTE)
    return Champion(checkpoint, cache)


@contextmanager
def serving_champion(settings: Settings) -> Iterator[Champion]:
    """The model that is served, in this process, with its caches.

    Raises:
        ModelStoreError: The named model is not in the store, or the store is empty.
    """
    caches = open_caches(settings)
    champion = serve_champion(settings, ModelChoice(settings, open_store(settings)), caches.all)
    try:
        yield champion
    finally:
        champion.close()
        caches.close()
