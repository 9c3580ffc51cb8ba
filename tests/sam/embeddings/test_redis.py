"""The Redis cache against a real server that is killed in the middle."""

import logging
import socket
from collections.abc import Iterator
from itertools import pairwise

import pytest
from redis import Redis

from sam_backend.errors import InvalidInputError
from sam_backend.sam.embeddings import LayeredEmbeddings, MemoryEmbeddings, RedisEmbeddings
from tests.redis_server import RedisServer, running_redis
from tests.sam.embeddings.examples import embedding, key, same


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with running_redis() as started:
        yield started


def test_two_processes_share_embeddings_and_they_expire(server: RedisServer) -> None:
    RedisEmbeddings(server.url, ttl_s=100).put(key(), embedding(5))
    assert same(RedisEmbeddings(server.url).get(key()), embedding(5))
    assert RedisEmbeddings(server.url).get(key("other")) is None
    with_secret = RedisEmbeddings(server.url, secret="hush")
    assert with_secret.get(key()) is None, "somebody without the secret has put it there"
    with_secret.put(key("kept"), embedding(6))
    assert same(RedisEmbeddings(server.url, secret="hush").get(key("kept")), embedding(6))
    assert RedisEmbeddings(server.url).get(key("kept")) is None
    with Redis.from_url(server.url) as client:
        name, _ = sorted(client.keys(), key=lambda name: str(key()).encode() not in name)
        assert 0 < client.ttl(name) <= 100


def test_close_leaves_no_connection_and_a_later_call_opens_one(server: RedisServer) -> None:
    with Redis.from_url(server.url) as client:
        cache = RedisEmbeddings(server.url)
        cache.put(key(), embedding())
        assert same(cache.get(key()), embedding())
        assert len(client.client_list()) == 3
        cache.close()
        assert len(client.client_list()) == 1
        assert same(cache.get(key()), embedding())
        cache.close()


def test_damaged_bytes_are_a_miss(server: RedisServer) -> None:
    cache = RedisEmbeddings(server.url)
    cache.put(key(), embedding())
    with Redis.from_url(server.url) as client:
        (name,) = client.keys()
        client.setrange(name, 60, b"XX")
    assert cache.get(key()) is None
    cache.put(key(), embedding(2))
    assert same(cache.get(key()), embedding(2))


def test_killed_and_restarted_with_one_warning_each_way(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    memory, redis = MemoryEmbeddings(10**6), RedisEmbeddings(server.url, clock=clock)
    both = LayeredEmbeddings([memory, redis])
    both.put(key("a"), embedding(1))
    server.kill()
    with caplog.at_level(logging.WARNING):
        for number in range(20):
            both.put(key(str(number)), embedding(number))
            assert same(both.get(key(str(number))), embedding(number))
        assert same(both.get(key("a")), embedding(1))
        assert both.get(key("never put")) is None
        assert not redis.is_available
        assert len(caplog.records) == 1
        assert "away" in caplog.text

        server.start()
        assert redis.get(key("a")) is None, "the pause is not over: nothing is tried"
        clock.now += 1.1
        assert redis.get(key("a")) is None, "tried, but the restarted server is empty"
        assert redis.is_available
        assert len(caplog.records) == 2
        assert "is back" in caplog.text
    both.put(key("b"), embedding(2))
    assert same(redis.get(key("b")), embedding(2))


def test_a_dead_server_is_tried_ever_more_seldom() -> None:
    """Counts connections at a port that hangs up at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        clock = Clock()
        cache = RedisEmbeddings(f"redis://127.0.0.1:{listener.getsockname()[1]}", clock=clock)
        tried: list[float] = []
        while clock.now < 100:
            cache.get(key())
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                pass
            else:
                connection.close()
                tried.append(clock.now)
            clock.now += 0.5
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert pauses == [1, 2, 4, 8, 16, 30, 30]


def test_a_server_that_hangs_costs_one_timeout_not_one_for_each_call() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # never answers
        listener.setblocking(False)
        cache = RedisEmbeddings(f"redis://127.0.0.1:{listener.getsockname()[1]}", clock=Clock())
        assert [cache.get(key()) for _ in range(50)] == [None] * 50
        listener.accept()[0].close()
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_no_password_in_log_or_error(caplog: pytest.LogCaptureFixture) -> None:
    with running_redis("--requirepass", "other") as server, caplog.at_level(logging.DEBUG):
        url = server.url.replace("redis://", "redis://:s3cret@")
        cache = RedisEmbeddings(url)
        cache.put(key(), embedding())
        assert cache.get(key()) is None
    assert "away" in caplog.text
    assert "s3cret" not in caplog.text
    for broken in ("http://:s3cret@host", "redis://:s3cret@host:port/0", "s3cret"):
        with pytest.raises(InvalidInputError) as caught:
            RedisEmbeddings(broken)
        assert "s3cret" not in str(caught.value)
        assert caught.value.__suppress_context__


def test_a_full_server_refuses_puts_once_in_the_log_and_still_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running_redis("--maxmemory", "3mb", "--maxmemory-policy", "noeviction") as server:
        cache = RedisEmbeddings(server.url)
        cache.put(key("small"), embedding(1))
        with caplog.at_level(logging.WARNING):
            for name in "abc":
                cache.put(key(name), embedding(n_values=10**6))
                cache.put(key(name), embedding(n_values=10**6))
        assert len(caplog.records) == 1
        assert "refuses" in caplog.text
        assert same(cache.get(key("small")), embedding(1))
        assert cache.is_available
