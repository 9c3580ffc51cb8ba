"""Layers fill those above them; the writer's thread keeps puts off the caller's."""

import threading

from sam_backend.sam.embeddings import (
    EmbeddingKey,
    LayeredEmbeddings,
    MemoryEmbeddings,
    WriteBehind,
)
from sam_backend.sam.types import Embedding
from tests.sam.embeddings.examples import embedding, key, same


class Blocked:
    """A cache whose puts wait until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.held: dict[EmbeddingKey, Embedding] = {}

    def get(self, key: EmbeddingKey) -> Embedding | None:
        return self.held.get(key)

    def put(self, key: EmbeddingKey, embedding: Embedding) -> None:
        assert self.opened.wait(30)
        self.held[key] = embedding


def test_a_hit_below_fills_the_layers_above() -> None:
    layers = [MemoryEmbeddings(10**6) for _ in range(3)]
    layers[1].put(key(), embedding(3))
    assert same(LayeredEmbeddings(layers).get(key()), embedding(3))
    assert [len(layer) for layer in layers] == [1, 1, 0]


def test_a_put_reaches_every_layer_and_a_miss_none() -> None:
    layers = [MemoryEmbeddings(10**6) for _ in range(3)]
    both = LayeredEmbeddings(layers)
    assert both.get(key()) is None
    both.put(key(), embedding())
    assert [len(layer) for layer in layers] == [1, 1, 1]


def test_a_put_does_not_wait_and_close_finishes_what_waits() -> None:
    slow = Blocked()
    cache = WriteBehind(slow)
    cache.put(key("a"), embedding(1))
    cache.put(key("b"), embedding(2))
    assert cache.get(key("a")) is None
    slow.opened.set()
    cache.close()
    assert same(cache.get(key("a")), embedding(1))
    assert same(cache.get(key("b")), embedding(2))
    cache.put(key("c"), embedding())  # after close: dropped without an error
    assert cache.get(key("c")) is None


def test_puts_beyond_the_bound_are_dropped() -> None:
    slow = Blocked()
    cache = WriteBehind(slow, max_waiting=3)
    for name in "abcdefgh":
        cache.put(key(name), embedding())
    slow.opened.set()
    cache.close()
    assert sorted(held.image_digest for held in slow.held) == ["a", "b", "c"]
