"""Manifests as hash trees: what two versions have in common is stored once and compared by name.

An entry says which state (a digest) a thing (a key such as "12" for a task or "12/34" for its
annotation) has. Entries are told apart by the sha256 of the part of their key before the slash, so
that a task lies together with its annotations. A node with few entries is a leaf; another one has
up to sixteen children, by the next hex digit. The shape follows from the entries alone, so equal
sets have equal roots, whatever came before (R. C. Merkle, "A Digital Signature Based on a
Conventional Encryption Function", 1987; hash array mapped tries, P. Bagwell, 2001).
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sam_backend.store.objects import canonical, digest_of

MAX_LEAF = 32
"""A change rewrites one leaf and the nodes above it: about 4 KB at a million entries."""

Entries = Mapping[str, str]
"""Digests by key."""
Get = Callable[[Iterable[str]], Mapping[str, bytes]]
"""Bodies by their digests."""

_Placed = tuple[str, str, str]  # path, key, digest
_DEPTH = 64  # of a sha256 in hex


def build(entries: Entries) -> tuple[str, dict[str, bytes]]:
    """The root's digest, and all nodes by their digests."""
    placed = sorted((_path(key), key, digest) for key, digest in entries.items())
    nodes: dict[str, bytes] = {}
    return _build(placed, 0, nodes), nodes


def entries_of(root: str, get: Get) -> dict[str, str]:
    """All entries below a root."""
    return compare(None, root, get)[1]


def entries_of_tasks(root: str, tasks: Iterable[str], get: Get) -> dict[str, str]:
    """The entries below a root that are of these tasks; only the nodes above them are read."""
    found: dict[str, str] = {}
    asked = [(root, [_path(task) for task in tasks])]
    depth = 0
    while asked := [(digest, paths) for digest, paths in asked if paths]:
        bodies = get({digest for digest, _ in asked})
        below: list[tuple[str, list[str]]] = []
        for digest, paths in asked:
            node = json.loads(bodies[digest])
            wanted = set(paths)
            found.update(entry for entry in _leaf(node).items() if _path(entry[0]) in wanted)
            for digit, child in _children(node).items():
                below.append((child, [path for path in paths if path[depth] == digit]))
        asked = below
        depth += 1
    return found


def compare(
    before: str | None, after: str | None, get: Get
) -> tuple[dict[str, str], dict[str, str]]:
    """What differs between two trees; only what differs is read.

    Args:
        before: A root; None: an empty tree.
        after: Likewise.
        get: Reads nodes, many at a time.

    Returns:
        Entries of the first that the second lacks or has otherwise, and the other way round.
    """
    gone: dict[str, str] = {}
    come: dict[str, str] = {}
    pairs: list[tuple[str | None, str | None]] = [(before, after)]
    while pairs:
        pairs = [pair for pair in pairs if pair[0] != pair[1]]
        bodies = get({digest for pair in pairs for digest in pair if digest is not None})
        nodes = {digest: json.loads(body) for digest, body in bodies.items()}
        below: list[tuple[str | None, str | None]] = []
        for pair in pairs:
            old, new = (None if one is None else nodes[one] for one in pair)
            children = [_children(one) for one in (old, new)]
            gone.update(_leaf(old))
            come.update(_leaf(new))
            for digit in children[0].keys() | children[1].keys():
                below.append((children[0].get(digit), children[1].get(digit)))
        pairs = below
    for key in [key for key in gone.keys() & come.keys() if gone[key] == come[key]]:
        del gone[key], come[key]
    return gone, come


def _path(key: str) -> str:
    return digest_of(key.partition("/")[0].encode())


def _build(placed: Sequence[_Placed], depth: int, nodes: dict[str, bytes]) -> str:
    is_one_task = not placed or placed[0][0] == placed[-1][0]
    if len(placed) <= MAX_LEAF or is_one_task or depth == _DEPTH:
        body = canonical({"entries": {key: digest for _, key, digest in placed}})
    else:
        children = {}
        start = 0
        for end in range(1, len(placed) + 1):
            if end == len(placed) or placed[end][0][depth] != placed[start][0][depth]:
                digit = placed[start][0][depth]
                children[digit] = _build(placed[start:end], depth + 1, nodes)
                start = end
        body = canonical({"children": children})
    digest = digest_of(body)
    nodes[digest] = body
    return digest


def _children(node: dict[str, Any] | None) -> dict[str, str]:
    return {} if node is None else dict(node.get("children", {}))


def _leaf(node: dict[str, Any] | None) -> dict[str, str]:
    return {} if node is None else dict(node.get("entries", {}))
