"""Shards and journals: what goes in comes out, and only whole things have a name."""

import json
from pathlib import Path

import numpy as np
import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import encode
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.store.shards import ImageMasks, ShardJournal, read_shard, write_shard

SIZE = (5, 7)


def image(index: int, n_masks: int = 2) -> ImageMasks:
    rng = np.random.default_rng(index)
    masks = tuple(
        MaskRecord(
            rle=encode(rng.random(SIZE) > 0.5),
            box=(0, 1, 6, 4),
            area_px=17,
            predicted_iou=float(rng.random()),
            stability=float(rng.random()),
            point=(0.5, 3.25),
            mask_index=number,
            crop=(0, 0, 7, 5),
            model_version="model-1+0",
            settings="some",
            image_digest=f"digest-{index}",
        )
        for number in range(n_masks)
    )
    return ImageMasks(
        index=index,
        uri=f"/images/{index}.png",
        digest=f"digest-{index}",
        size=SIZE,
        reason=None,
        model_version="model-1+0",
        settings="some",
        features=rng.random(4).astype(np.float32),
        masks=masks,
    )


UNREADABLE = ImageMasks(
    9, "/images/9.png", "digest-9", None, "no image", "model-1+0", "some", None, ()
)
ROWS = [image(0), image(1, 0), image(2, 3), UNREADABLE]


def told(rows: list[ImageMasks]) -> list[str]:
    return [json.dumps(row.as_dict(), sort_keys=True) for row in rows]


def test_shards_keep_every_bit_whatever_the_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    write_shard(first, ROWS, {"run": "r", "a": "b"})
    write_shard(second, reversed(ROWS), {"a": "b", "run": "r"})
    assert first.read_bytes() == second.read_bytes()
    assert told([ImageMasks.of(row) for row in read_shard(first)]) == told(ROWS)
    assert [row["uri"] for row in read_shard(first, ["uri"])] == [row.uri for row in ROWS]
    assert {path.name for path in tmp_path.iterdir()} == {"a.parquet", "b.parquet"}


@pytest.mark.parametrize("content", [None, b"", b"PAR1 no parquet PAR1"])
def test_damaged_shards_are_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "shard.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"shard\.parquet cannot be read"):
        list(read_shard(path))


def test_a_journal_cut_anywhere_keeps_all_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "shard.journal"
    journal = ShardJournal(path)
    for row in ROWS:
        journal.add(row)
    whole = path.read_bytes()
    ends = [i for i, byte in enumerate(whole) if byte == ord("\n")] + [len(whole)]
    for cut in [*range(0, len(whole), 97), *ends]:
        path.write_bytes(whole[:cut])
        known = ShardJournal(path)
        n_whole = sum(end <= cut for end in ends[1:])
        assert list(known.rows) == [row.index for row in ROWS[:n_whole]]
        for row in ROWS[n_whole:]:
            known.add(row)
        assert told(list(ShardJournal(path).rows.values())) == told(ROWS)
    journal.remove()
    journal.remove()
    assert not ShardJournal(path).rows
