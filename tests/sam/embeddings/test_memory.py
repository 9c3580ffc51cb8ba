"""The memory cache stays within its bound and forgets the least recently used."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from sam_backend.sam.embeddings import MemoryEmbeddings
from tests.sam.embeddings.examples import embedding, key, same

SIZE = embedding().n_bytes


def test_forgets_the_least_recently_used() -> None:
    cache = MemoryEmbeddings(max_bytes=3 * SIZE)
    for name in "abc":
        cache.put(key(name), embedding())
    cache.get(key("a"))
    cache.put(key("d"), embedding())
    assert [name for name in "abcd" if cache.get(key(name)) is not None] == ["a", "c", "d"]


def test_putting_again_replaces() -> None:
    cache = MemoryEmbeddings(max_bytes=10 * SIZE)
    cache.put(key(), embedding(1))
    cache.put(key(), embedding(2))
    assert same(cache.get(key()), embedding(2))
    assert (len(cache), cache.n_bytes) == (1, SIZE)


def test_what_is_larger_than_the_bound_is_not_kept_and_pushes_nothing_out() -> None:
    cache = MemoryEmbeddings(max_bytes=SIZE)
    cache.put(key("a"), embedding())
    cache.put(key("b"), embedding(n_values=257 * 4))
    assert cache.get(key("b")) is None
    assert same(cache.get(key("a")), embedding())


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 40)), max_size=60))
def test_never_exceeds_its_bound(puts: list[tuple[int, int]]) -> None:
    cache = MemoryEmbeddings(max_bytes=1000)
    for name, n_values in puts:
        cache.put(key(str(name)), embedding(n_values=4 * n_values))
        assert cache.n_bytes <= 1000
        held = [cache.get(key(str(other))) for other in range(10)]
        assert cache.n_bytes == sum(entry.n_bytes for entry in held if entry is not None)


def test_threads_get_only_what_was_put_under_their_key() -> None:
    cache = MemoryEmbeddings(max_bytes=5 * SIZE)
    wrong: list[int] = []

    def work(start: int) -> None:
        for round_ in range(1000):
            value = (start + round_) % 10
            cache.put(key(str(value)), embedding(value))
            found = cache.get(key(str(value)))
            if found is not None and found.features[0, 0, 0] != value:
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache.n_bytes <= 5 * SIZE
