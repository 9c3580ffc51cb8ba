"""The manifest: what was written is read again, and damage costs no more than itself."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sam_backend.datasets.image_files import examine
from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.manifest import read_manifest, write_manifest
from sam_backend.datasets.types import Dataset, LabelledImage, LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import encode
from tests.datasets.making import SIZE, box, dataset_of, image_of, picture
from tests.masks.strategies import discs

texts = st.text(max_size=8)
sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))


@st.composite
def labelled_images(draw: st.DrawFn) -> LabelledImage:
    size = draw(sizes)
    masks = []
    for seed in draw(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3)):
        mask = discs(seed, size)
        mask[0, 0] = True
        labels = st.none() | texts
        masks.append(LabelledMask(encode(mask), draw(labels), draw(labels), draw(st.booleans())))
    digest = draw(st.text("0123456789abcdef", min_size=64, max_size=64))
    return LabelledImage(draw(texts), Path("one.png"), digest, size, tuple(masks))


datasets = st.builds(
    Dataset,
    name=texts,
    images=st.lists(labelled_images(), max_size=3).map(tuple),
    skipped=st.dictionaries(texts, st.integers(1, 99), max_size=3).map(LeftOut),
    licence=st.none() | texts,
)


def content(dataset: Dataset) -> object:
    """All of a data set as values that can be compared."""
    images = [
        (image.name, image.path, image.digest, image.size, list(map(mask_content, image.masks)))
        for image in dataset
    ]
    return dataset.name, dataset.licence, dict(dataset.skipped), images


def mask_content(mask: LabelledMask) -> object:
    return mask.rle.size, mask.rle.counts.tolist(), mask.label, mask.annotator, mask.is_gold


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(dataset=datasets)
def test_round_trip(tmp_path: Path, dataset: Dataset) -> None:
    picture(tmp_path / "one.png")
    images = tuple(replace(image, path=tmp_path / "one.png") for image in dataset)
    placed = replace(dataset, images=images)
    write_manifest(placed, tmp_path / "set.jsonl")
    read = read_manifest(tmp_path / "set.jsonl", verify=False)
    assert content(read) == content(placed)
    assert read.digest == placed.digest


def real_image(folder: Path, name: str = "one.png", seed: int = 0) -> LabelledImage:
    file = examine(picture(folder / name, seed=seed))
    mask = LabelledMask(encode(box()), "cat", "7")
    return LabelledImage(name, folder / name, file.digest, SIZE, (mask,))


def test_a_folder_may_move_with_its_images(tmp_path: Path) -> None:
    outside = real_image(tmp_path / "elsewhere")
    inside = real_image(tmp_path / "old" / "images", seed=1)
    write_manifest(dataset_of(inside, outside), tmp_path / "old" / "set.jsonl")
    (tmp_path / "old").rename(tmp_path / "new")
    read = read_manifest(tmp_path / "new" / "set.jsonl")
    assert [image.path for image in read] == [
        tmp_path / "new" / "images" / "one.png",
        tmp_path / "elsewhere" / "one.png",
    ]
    assert read.skipped == {"empty mask": 2}


def test_relative_paths_mean_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_manifest(dataset_of(real_image(Path("images"))), Path("runs/set.jsonl"))
    assert len(read_manifest(Path("runs/set.jsonl"))) == 1


def test_images_that_are_gone_or_changed_are_counted(tmp_path: Path) -> None:
    images = [real_image(tmp_path, f"{seed}.png", seed) for seed in range(4)]
    write_manifest(dataset_of(*images), tmp_path / "set.jsonl")
    images[0].path.unlink()
    picture(images[1].path, seed=99)
    images[2].path.write_bytes(b"no image")
    read = read_manifest(tmp_path / "set.jsonl")
    assert [image.name for image in read] == ["3.png"]
    lost = {"missing image": 1, "image changed since": 1, "unreadable image": 1}
    assert read.skipped == {"empty mask": 2, **lost}
    unverified = read_manifest(tmp_path / "set.jsonl", verify=False)
    assert [image.name for image in unverified] == ["1.png", "2.png", "3.png"]
    assert unverified.skipped == {"empty mask": 2, "missing image": 1}


def test_a_failed_write_leaves_the_old_manifest_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "set.jsonl"
    write_manifest(dataset_of(real_image(tmp_path)), file)
    before = file.read_bytes()
    unwritable = LabelledMask(encode(box()), label=object())  # type: ignore[arg-type]
    broken = dataset_of(real_image(tmp_path), image_of(2, unwritable))
    with pytest.raises(TypeError):
        write_manifest(broken, file)
    assert file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "set.jsonl"]


def lines_of(tmp_path: Path) -> list[Any]:
    write_manifest(dataset_of(real_image(tmp_path)), tmp_path / "set.jsonl")
    return [json.loads(line) for line in (tmp_path / "set.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": None}, "malformed record"),
        ({"path": 3}, "malformed record"),
        ({"digest": None}, "malformed record"),
        ({"size": [20]}, "malformed record"),
        ({"size": [20, "30"]}, "malformed record"),
        ({"size": [0, 30]}, "malformed record"),
        ({"size": [10**6, 10**6]}, "malformed record"),
        ({"masks": {}}, "malformed record"),
        ({"masks": []}, "image without masks"),
        ({"path": "n" * 300}, "unreadable image"),
        ({"digest": "0" * 64}, "image changed since"),
    ],
)
def test_a_damaged_line_is_counted_and_the_others_stay(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    header, line = lines_of(tmp_path)
    records = [header | {"skipped": {}}, line | change, line]
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, records)))
    read = read_manifest(tmp_path / "set.jsonl")
    assert (len(read), read.skipped) == (1, {reason: 1})


@pytest.mark.parametrize("junk", ["", "{", "[]", "3", "\0"])
def test_a_line_of_junk_is_counted(tmp_path: Path, junk: str) -> None:
    header, line = map(json.dumps, lines_of(tmp_path))
    (tmp_path / "set.jsonl").write_text("\n".join([header, junk, line]))
    read = read_manifest(tmp_path / "set.jsonl")
    assert (len(read), read.skipped) == (1, {"empty mask": 2, "malformed record": 1})


@pytest.mark.parametrize("mask", [None, {}, {"segmentation": {"size": [20, 30], "counts": "!"}}])
def test_a_damaged_mask_is_counted_and_the_others_stay(tmp_path: Path, mask: Any) -> None:
    header, line = lines_of(tmp_path)
    line["masks"].append(mask)
    (tmp_path / "set.jsonl").write_text(json.dumps(header) + "\n" + json.dumps(line))
    read = read_manifest(tmp_path / "set.jsonl")
    assert (read.n_masks, read.skipped) == (1, {"empty mask": 2, "malformed mask": 1})


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"", "does not start with the header"),
        (b"{}", "does not start with the header"),
        (b'{"format": "sam-backend data set"', "does not start with the header"),
        (b'{"format": "sam-backend data set", "version": 2}', "version 2, we read 1"),
        (b"\xff\xd8\xff\xe0", "does not start with the header"),
    ],
)
def test_another_file_is_named(tmp_path: Path, header: bytes, reason: str) -> None:
    file = tmp_path / "set.jsonl"
    file.write_bytes(header)
    with pytest.raises(InvalidInputError, match=reason) as caught:
        read_manifest(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("skipped", [None, 3, ["empty mask"], {"empty mask": "two"}])
def test_senseless_counts_are_passed_over(tmp_path: Path, skipped: Any) -> None:
    header, line = lines_of(tmp_path)
    records = [header | {"skipped": skipped}, line]
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, records)))
    read = read_manifest(tmp_path / "set.jsonl")
    assert (len(read), read.skipped) == (1, {})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"set\.jsonl cannot be read: No such file"):
        read_manifest(tmp_path / "set.jsonl")


def test_small_masks_that_were_kept_once_stay(tmp_path: Path) -> None:
    dot = LabelledMask(encode(box(width=1, height=1)))
    image = replace(real_image(tmp_path), masks=(dot,))
    write_manifest(dataset_of(image), tmp_path / "set.jsonl")
    assert read_manifest(tmp_path / "set.jsonl").n_masks == 1
