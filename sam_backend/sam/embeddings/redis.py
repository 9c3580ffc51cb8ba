"""Embeddings in Redis, shared between server processes and machines."""

import hashlib
import logging
import threading
import time
from collections.abc import Callable

from redis import ConnectionPool, Redis, RedisError
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from sam_backend.errors import InvalidInputError
from sam_backend.sam.embeddings.keys import EmbeddingKey
from sam_backend.sam.embeddings.packing import DamagedEmbeddingError, pack, unpack
from sam_backend.sam.types import Embedding

logger = logging.getLogger(__name__)

_PREFIX = "sam_backend:embedding:"
_CONNECT_TIMEOUT_S = 0.25
_GET_TIMEOUT_S = 0.25  # a click must never wait longer than this for a Redis that is gone
_PUT_TIMEOUT_S = 2.0  # nobody waits for a put (see WriteBehind): time for 4 MB at 16 Mbit/s
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0


class RedisEmbeddings:
    """Keeps embeddings in Redis for a day; the bound on memory is Redis' own `maxmemory`.

    While Redis is away every call is a miss: one warning, then nothing is tried for 1, 2, 4 … 30 s,
    so that clicks do not wait for it; the first call that succeeds again is logged too.
    """

    def __init__(
        self,
        url: str,
        ttl_s: int = 86_400,
        clock: Callable[[], float] = time.monotonic,
        secret: str = "",
    ) -> None:
        """Does not connect yet.

        Args:
            url: `redis://`, `rediss://` or `unix://`, possibly with a password; never logged.
            ttl_s: Seconds that an embedding is kept after it was put.
            clock: Returns seconds.
            secret: Secret of all who share the embeddings: what somebody else has put there is
                ignored.

        Raises:
            InvalidInputError: The URL cannot be read. It is not repeated: it may hold a password.
        """
        self._reader = _client(url, _GET_TIMEOUT_S)
        self._writer = _client(url, _PUT_TIMEOUT_S)
        options = self._reader.connection_pool.connection_kwargs
        self._place = str(
            options.get("path") or f"{options.get('host')}:{options.get('port', 6379)}"
        )
        self._ttl_s = ttl_s
        self._clock = clock
        self._secret = hashlib.sha256(secret.encode()).digest() if secret else b""
        self._lock = threading.Lock()
        self._pause_s = 0.0
        self._next_try = 0.0
        self._refused = False

    @property
    def is_available(self) -> bool:
        """False while calls are skipped because Redis did not answer."""
        return self._pause_s == 0.0

    def get(self, key: EmbeddingKey) -> Embedding | None:
        """The embedding; None if it is not here, damaged, or Redis is away."""
        if not self._may_try():
            return None
        try:
            data = self._reader.get(_PREFIX + str(key))
        except RedisError as error:
            self._failed(error)
            return None
        self._succeeded()
        if data is None:
            return None
        try:
            return unpack(key, data, self._secret)
        except DamagedEmbeddingError as error:
            logger.warning("ignoring a damaged embedding in Redis at %s: %s", self._place, error)
            return None

    def put(self, key: EmbeddingKey, embedding: Embedding) -> None:
        """Keeps the embedding; if Redis is away or full, only a warning is logged."""
        if not self._may_try():
            return
        try:
            self._writer.set(_PREFIX + str(key), pack(key, embedding, self._secret), ex=self._ttl_s)
        except RedisError as error:
            self._failed(error)
            return
        self._succeeded()
        self._refused = False

    def close(self) -> None:
        """Closes the connections."""
        self._reader.connection_pool.disconnect()
        self._writer.connection_pool.disconnect()

    def _may_try(self) -> bool:
        """True if Redis is well, or if this call is the one that tries again after a pause."""
        with self._lock:
            if self._pause_s == 0.0:
                return True
            if self._clock() < self._next_try:
                return False
            # others keep out while this one tries; its success ends the pause, its failure leaves
            # the next pause in place
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            self._next_try = self._clock() + self._pause_s
            return True

    def _failed(self, error: RedisError) -> None:
        if not isinstance(error, RedisConnectionError | RedisTimeoutError):
            if not self._refused:  # it answers but will not, such as when it is full
                logger.warning("Redis at %s refuses embeddings: %s", self._place, error)
            self._refused = True
            return
        with self._lock:
            is_new = self._pause_s == 0.0
            if is_new:
                self._pause_s = _FIRST_PAUSE_S
                self._next_try = self._clock() + self._pause_s
        if is_new:
            logger.warning(
                "Redis at %s is away, embeddings stay in memory only: %s", self._place, error
            )

    def _succeeded(self) -> None:
        if self._pause_s == 0.0:
            return
        with self._lock:
            was_away, self._pause_s = self._pause_s > 0, 0.0
        if was_away:
            logger.warning("Redis at %s is back", self._place)


def _client(url: str, timeout_s: float) -> "Redis[bytes]":
    try:
        pool = ConnectionPool.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=_CONNECT_TIMEOUT_S,
            protocol=2,  # every server speaks it, and nothing here needs a newer one
            retry=Retry(NoBackoff(), 0),  # redis-py retries with pauses of its own otherwise
        )
    except (ValueError, TypeError):
        raise InvalidInputError("the Redis URL must look like redis://host:6379/0") from None
    return Redis(connection_pool=pool)
