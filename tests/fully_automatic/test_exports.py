"""What other tools get: SA-1B's fields, COCO's, Label Studio's tasks; addresses of images."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from sam_backend.datasets.collecting import MIN_AREA_PX
from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.reading import read_dataset
from sam_backend.errors import InvalidInputError, LabelConfigError
from sam_backend.fully_automatic.addresses import (
    LocalFileAddresses,
    OwnAddresses,
    PrefixAddresses,
)
from sam_backend.fully_automatic.exports import export_coco, export_sa1b, export_tasks
from sam_backend.fully_automatic.run_folder import BulkRun, read_run
from sam_backend.fully_automatic.tasks import TaskOptions, TaskWriter
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.config.templates import template
from sam_backend.labelstudio.regions import codec
from sam_backend.masks.rle import RLE, encode
from sam_backend.store.shards import ImageMasks
from tests.fully_automatic.making import generate, make_images
from tests.store.test_shards import image

N_IMAGES = 5


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> BulkRun:
    folder = tmp_path_factory.mktemp("exports")
    make_images(folder / "source", N_IMAGES)
    (folder / "source" / "odd" / "broken.png").write_bytes(b"no picture")
    first = folder / "source" / "even" / "0000.png"
    (folder / "source" / "even" / "0000.jpg").write_bytes(first.read_bytes() + b"\0")
    generate(folder / "source", folder / "run")
    return read_run(folder / "run")


def counts(masks: list[RLE]) -> list[list[int]]:
    return [mask.counts.tolist() for mask in masks]


def test_sa1b_files_have_its_fields_and_read_back(run: BulkRun, tmp_path: Path) -> None:
    left_out = LeftOut()
    assert export_sa1b(run, tmp_path, left_out) == N_IMAGES + 1
    (broken,) = left_out.names("unreadable image")
    assert left_out == {"unreadable image": 1}
    assert "odd/broken.png: " in broken
    names = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.json")}
    assert {"even/0000.json", "even/0000.png.json", "odd/0001.json"} < names
    ids: list[int] = []
    for found in run.images():
        name = "0000.png.json" if found.uri.endswith("0000.png") else f"{Path(found.uri).stem}.json"
        told = json.loads((tmp_path / Path(found.uri).parent.name / name).read_text())
        assert told.keys() == {"image", "annotations"}
        assert told["image"] == {
            "image_id": found.index,
            "width": 96,
            "height": 96,
            "file_name": f"{Path(found.uri).parent.name}/{Path(found.uri).name}",
        }
        for one, mask in zip(told["annotations"], found.masks, strict=True):
            assert one.keys() == {
                "id", "segmentation", "bbox", "area", "predicted_iou", "stability_score",
                "crop_box", "point_coords",
            }  # fmt: skip
            x, y, width, height = one["bbox"]
            assert one["bbox"] == coco_mask.toBbox(one["segmentation"]).tolist()
            assert (x, y, x + width - 1, y + height - 1) == mask.box
            assert one["crop_box"] == [0, 0, 96, 96]
            assert one["point_coords"] == [list(mask.point)]
            ids.append(one["id"])
    assert len(set(ids)) == len(ids)
    dataset = read_dataset(tmp_path / "even", Path(run.plan.source))
    told_masks = {image.digest: [mask.rle for mask in image.masks] for image in dataset}
    for found in run.images():
        if "/even/" in found.uri:
            kept = [mask.rle for mask in found.masks if mask.area_px >= MIN_AREA_PX]
            assert counts(told_masks[found.digest]) == counts(kept) != []


def test_no_sa1b_file_overwrites_another(tmp_path: Path) -> None:
    """Also where a name is another one's with a suffix, or differs by its case."""
    pictures, names = tmp_path / "source", ("x.png.jpg", "x.jpg", "x.png", "X.jpeg", "X.png")
    make_images(pictures, len(names))
    made = sorted(pictures.rglob("*.png"))
    for file, name in zip(made, names, strict=True):
        file.rename(pictures / name)
    (tmp_path / "list.txt").write_text("".join(f"source/{name}\n" for name in names))
    generate(tmp_path / "list.txt", tmp_path / "run")
    out = tmp_path / "out"
    assert export_sa1b(read_run(tmp_path / "run"), out, LeftOut()) == len(names)
    files = [file.relative_to(out) for file in out.rglob("*.json")]
    assert len({str(file).casefold() for file in files}) == len(names)
    told = {json.loads((out / file).read_text())["image"]["file_name"] for file in files}
    assert told == {f"source/{name}" for name in names}


def test_coco_reads_the_instances(run: BulkRun, tmp_path: Path) -> None:
    file = tmp_path / "out" / "instances.json"
    n_masks = export_coco(run, file, LeftOut())
    coco = COCO(str(file))
    images = {found.index: found for found in run.images()}
    assert coco.getImgIds() == list(images)
    assert len(coco.anns) == n_masks == sum(len(found.masks) for found in images.values())
    for number, found in images.items():
        annotations = coco.loadAnns(coco.getAnnIds([number]))
        for one, mask in zip(annotations, found.masks, strict=True):
            pixels = coco.annToMask(one).astype(bool)
            assert np.array_equal(encode(pixels).counts, mask.rle.counts)
            columns, rows = np.flatnonzero(pixels.any(0)), np.flatnonzero(pixels.any(1))
            assert one["bbox"] == [
                columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1,
            ]  # fmt: skip


@pytest.mark.parametrize("as_", ["predictions", "annotations"])
def test_tasks_of_label_studio(run: BulkRun, tmp_path: Path, as_: str) -> None:
    writer = TaskWriter(LabelConfig.parse(template("brush")), run.run_id, TaskOptions(as_))
    addresses = PrefixAddresses("https://images.example.org/a b", run.manifest.root)
    assert export_tasks(run, tmp_path, writer, addresses, LeftOut()) == N_IMAGES + 1
    tasks = json.loads((tmp_path / "tasks-00000.json").read_text())
    for task, found in zip(tasks, run.images(), strict=True):
        name = f"{Path(found.uri).parent.name}/{Path(found.uri).name}"
        assert task["data"] == {
            "image": f"https://images.example.org/a b/{name}",
            "sam_run": run.run_id,
            "sam_digest": found.digest,
            "sam_file": Path(found.uri).name,
            "sam_masks": len(found.masks),
        }
        (answer,) = task[as_]
        drawn = [encode(codec.decode(region)) for region in answer["result"]]
        assert counts(drawn) == counts([mask.rle for mask in found.masks])
        assert (answer.get("model_version") == run.plan.model_version) is (as_ == "predictions")


def test_the_surest_masks_of_a_crowded_image() -> None:
    found = image(1, 9)
    writer = TaskWriter(LabelConfig.parse(template("brush")), "r", TaskOptions(max_masks=4))
    ranked = sorted(found.masks, key=lambda mask: mask.predicted_iou)[-4:]
    drawn = [encode(codec.decode(region)) for region in writer.prediction(found)["result"]]
    assert counts(drawn) == counts([mask.rle for mask in found.masks if mask in ranked])


def test_wrong_options_and_configs() -> None:
    with pytest.raises(InvalidInputError, match="predictions or annotations, not 'drafts'"):
        TaskOptions("drafts")
    with pytest.raises(InvalidInputError, match="max_masks must be at least 1, not 0"):
        TaskOptions(max_masks=0)
    two = template("brush").replace("<Image", '<Image name="other" value="$second"/><Image', 1)
    with pytest.raises(LabelConfigError, match=r"one image whose value is one field"):
        TaskWriter(LabelConfig.parse(two), "r", TaskOptions())


def at(uri: str) -> list[ImageMasks]:
    return [replace(image(1), uri=uri)]


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("s3://bucket/a b.jpg", "s3://bucket/a b.jpg"),
        ("az://box/1.png", "azure-blob://box/1.png"),
        ("gcs://box/1.png", "gs://box/1.png"),
        ("https://example.org/1.png", "https://example.org/1.png"),
    ],
)
def test_addresses_of_buckets(uri: str, address: str) -> None:
    assert OwnAddresses().of(at(uri)) == [address]


def test_addresses_of_files() -> None:
    remedies = "--url-prefix or --document-root, or bring .* `sam-backend import … --upload`"
    with pytest.raises(
        InvalidInputError,
        match=rf"/x/1\.png is no address that Label Studio opens; say {remedies}",
    ):
        OwnAddresses().of(at("/x/1.png"))
    local = LocalFileAddresses(Path("/files"))
    assert local.of(at("/files/a/b c.png")) == ["/data/local-files/?d=a/b%20c.png"]
    with pytest.raises(InvalidInputError, match="does not lie below the document root /files"):
        local.of(at("/elsewhere/1.png"))
