"""Bulk runs: each image once, the same shards however often it was broken off."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from sam_backend.errors import InvalidInputError, RunFolderError, SourceError
from sam_backend.fully_automatic import manifest as manifests
from sam_backend.fully_automatic.generating import Progress, plan_run
from sam_backend.fully_automatic.run_folder import at_work, begin_run, read_run
from sam_backend.masks.rle import decode
from sam_backend.settings import Settings
from tests.fully_automatic.making import POINTS, SHARD_IMAGES, generate, make_images, shard_bytes

N_IMAGES = 10
KILLS = 12


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    make_images(folder, N_IMAGES)
    first = folder / "even" / "0000.png"
    (folder / "odd" / "again.png").write_bytes(first.read_bytes())
    (folder / "even" / "broken.png").write_bytes(b"no picture")
    cut = (folder / "odd" / "0001.png").read_bytes()
    (folder / "odd" / "cut.png").write_bytes(cut[: len(cut) // 2])
    return folder


@pytest.fixture(scope="module")
def unbroken(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken") / "run"
    told: list[tuple[str, int, int]] = []

    def observe(state: Progress) -> None:
        told.append((state.stage, state.done, state.of))

    summary = generate(source, out, observe=observe)
    figures = summary.as_json()
    assert figures["images_listed"] == N_IMAGES + 3
    assert figures["duplicates"] == 1
    assert figures["unreadable"] == 2  # one by its header, one when it was decoded
    assert figures["images_done"] == N_IMAGES
    assert figures["images_to_do"] == 0
    assert figures["shards"] == 3
    assert figures["masks_found_now"] > 0
    assert ("reading", N_IMAGES + 3, N_IMAGES + 3) in told
    assert told[-1] == ("finding masks", N_IMAGES + 1, N_IMAGES + 1)
    return out


def test_every_image_has_its_row_and_masks_fit(source: Path, unbroken: Path) -> None:
    run = read_run(unbroken)
    images = list(run.images())
    assert [image.index for image in images] == sorted(image.index for image in images)
    assert len({image.digest for image in images}) == len(images) == N_IMAGES + 1
    by_name = {Path(image.uri).name: image for image in images}
    assert "cut.png" in by_name["cut.png"].uri
    assert by_name["cut.png"].reason is not None
    assert "again.png" not in by_name
    assert set(run.manifest.unreadable()) == {str(source / "even" / "broken.png")}
    for image in images:
        if image.reason is None:
            assert image.features is not None
            assert image.features.shape == (128,)
            for mask in image.masks:
                pixels = decode(mask.rle)
                assert pixels.shape == image.size == (96, 96)
                assert pixels.sum() == mask.area_px > 0
                x0, y0, x1, y1 = mask.box
                assert pixels[y0 : y1 + 1, x0 : x1 + 1].sum() == mask.area_px
                assert mask.image_digest == image.digest


def test_a_second_command_does_nothing(source: Path, unbroken: Path) -> None:
    before = shard_bytes(unbroken)
    summary = generate(source, unbroken)
    assert (summary.progress.known, summary.progress.masks) == (N_IMAGES + 1, 0)
    assert shard_bytes(unbroken) == before


def test_stopped_runs_go_on(source: Path, unbroken: Path, tmp_path: Path) -> None:
    out, stops = tmp_path / "run", 0
    for _ in range(20):
        seen: list[int] = []

        def observe(state: Progress, seen: list[int] = seen) -> None:
            if state.stage == "finding masks":
                seen.append(state.done)

        summary = generate(
            source, out, observe=observe, is_stopped=lambda seen=seen: len(seen) >= 1
        )
        if summary.progress.done == summary.progress.of:
            break
        stops += 1
    assert stops >= 2
    assert shard_bytes(out) == shard_bytes(unbroken)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_after_the_images_in_hand(
    source: Path, unbroken: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "sam_backend.cli.main", "generate", str(source)]
    command += ["--out", str(out), "--set", "points_per_side=4", "--shard-images", "4", "--json"]
    environment = os.environ | {"SAM_BACKEND_THREADS": "1", "SAM_BACKEND_DATA_DIR": str(tmp_path)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not any(out.glob("shards/*")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        told, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    figures = json.loads(told)
    assert figures["images_done"] >= 1
    if figures["images_to_do"]:  # a fast machine may have been done
        assert "stopped early: the same command goes on" in complaints
    generate(source, out)
    assert shard_bytes(out) == shard_bytes(unbroken)


def test_another_plan_in_the_same_folder_is_refused(source: Path, unbroken: Path) -> None:
    settings = Settings()
    plan = plan_run(settings, str(source), POINTS, SHARD_IMAGES)
    begin_run(unbroken, plan)
    for other, why in (
        (replace(plan, source="/elsewhere"), "source was"),
        (replace(plan, model_version="vit_b+1"), "model_version was"),
        (replace(plan, shard_images=5), "shard_images was 4 and is 5"),
        (plan_run(settings, str(source), POINTS | {"box_nms": 0.5}, 4), r"box_nms was 0\.8"),
    ):
        with pytest.raises(InvalidInputError, match=why):
            begin_run(unbroken, other)


def test_a_second_command_tells_what_the_first_could_not_read(source: Path, unbroken: Path) -> None:
    broken = {str(source / "even" / "broken.png"), str(source / "odd" / "cut.png")}
    figures = generate(source, unbroken).as_json()
    assert figures["unreadable_files"].keys() == broken
    assert "cut short" in figures["unreadable_files"][str(source / "odd" / "cut.png")]
    assert (figures["unreadable"], figures["images_done"]) == (2, N_IMAGES)


def test_odd_files_cost_nobody_else_anything(tmp_path: Path) -> None:
    """Names that are no UTF-8, pictures of phones and cameras, and what is none at all."""
    source = tmp_path / os.fsdecode(b"Fotos \xfc")
    make_images(source, 2)
    first, second = sorted(source.rglob("*.png"))
    first.rename(source / os.fsdecode(b"na\xefve.png"))
    pixels = np.asarray(Image.open(second))
    tifffile.imwrite(source / "deep.tif", pixels.astype(np.uint16) * 16, photometric="rgb")
    tifffile.imwrite(source / "pages.tif", np.stack([pixels, 255 - pixels]), photometric="rgb")
    second.rename(source / "second\n.jpe")
    cut = io.BytesIO()
    Image.fromarray(pixels).save(cut, "JPEG")
    (source / os.fsdecode(b"cut \xe9.jpg")).write_bytes(cut.getvalue()[:-200])
    (source / "drawing.svg").write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    (source / "notes.txt").write_bytes(b"notes")
    for _ in range(2):
        figures = generate(source, tmp_path / "run").as_json()
        assert (figures["images_listed"], figures["images_done"]) == (6, 4)
        assert figures["other_files"] == {".txt": 1}
        assert {Path(uri).name: note for uri, note in figures["notes"].items()} == {
            "pages.tif": "has several pages or frames, of which the first is read"
        }
        reasons = {Path(uri).name: reason for uri, reason in figures["unreadable_files"].items()}
        assert reasons.keys() == {"cut \\xe9.jpg", "drawing.svg"}
        assert "JPEG data is damaged or cut short" in reasons["cut \\xe9.jpg"]
        assert "SVG drawing, which has no pixels" in reasons["drawing.svg"]
        assert json.dumps(figures).encode()
    run = read_run(tmp_path / "run")
    found = {Path(image.uri).name: len(image.masks) for image in run.images() if image.size}
    assert found.keys() == {"na\\xefve.png", "deep.tif", "pages.tif", "second\\x0a.jpe"}
    assert all(found.values())


def test_a_start_that_is_refused_claims_no_folder(source: Path, tmp_path: Path) -> None:
    empty, out = tmp_path / "empty", tmp_path / "deep" / "run"
    empty.mkdir()
    with pytest.raises(InvalidInputError, match="has no image"):
        generate(empty, out)
    assert not out.parent.exists()
    with pytest.raises(InvalidInputError, match="there is no folder, glob, image or list file"):
        generate(tmp_path / "nowhere", out)
    assert not out.parent.exists()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunFolderError, match=r"no run can be begun in .*; name another") as refused:
        generate(source, tmp_path / "file")
    assert "goes on" not in str(refused.value)
    # a folder that was there stays, with what lies in it
    out.mkdir(parents=True)
    (out / "notes.txt").write_bytes(b"mine")
    with pytest.raises(InvalidInputError, match="has no image"):
        generate(empty, out)
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
    assert generate(source, out).as_json()["images_done"] == N_IMAGES


def test_two_commands_in_one_folder(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "run"
    with at_work(out), pytest.raises(RunFolderError, match="another process is at work"):
        generate(source, out)


def test_the_manifest_goes_on_at_its_part(
    source: Path, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "PART_IMAGES", 3)
    out = tmp_path / "run"
    seen: list[int] = []
    generate(
        source,
        out,
        observe=lambda state: seen.append(state.done),
        is_stopped=lambda: len(seen) >= 5,
    )
    assert not (out / "manifest.parquet").exists()
    assert (out / "manifest" / "part-000000.parquet").exists()
    with pytest.raises(InvalidInputError, match="has no manifest yet"):
        read_run(out)
    generate(source, out)
    assert read_run(out).run_id == read_run(unbroken).run_id
    assert shard_bytes(out) == shard_bytes(unbroken)


def test_a_share_that_goes_away_stops_the_run_and_loses_nothing(
    source: Path, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sam_backend.fully_automatic.sources._PAUSES_S", (0.0,))
    out, away = tmp_path / "run", source.with_name("away")

    def observe(state: Progress) -> None:
        if state.stage == "finding masks" and source.exists():
            source.rename(away)

    try:
        with pytest.raises(SourceError, match="is empty or gone"):
            generate(source, out, observe=observe)
    finally:
        away.rename(source)
    generate(source, out)
    assert shard_bytes(out) == shard_bytes(unbroken)


def test_a_full_disk_stops_the_run_and_loses_nothing(
    source: Path, unbroken: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000));"
        "from pathlib import Path; from tests.fully_automatic.making import generate;"
        f"generate(Path({str(source)!r}), Path({str(out)!r}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=False
    )
    assert "stopped: [Errno 27] File too large; nothing that is done is lost" in ended.stderr
    assert ended.returncode != 0
    generate(source, out)
    assert shard_bytes(out) == shard_bytes(unbroken)


def test_killed_at_any_moment(source: Path, unbroken: Path, tmp_path: Path) -> None:
    out, rng, killed = tmp_path / "run", random.Random(7), 0
    command = (
        "from pathlib import Path; from tests.fully_automatic.making import generate;"
        "print('ready', flush=True);"
        f"generate(Path({str(source)!r}), Path({str(out)!r}))"
    )
    for _ in range(KILLS):
        with subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(rng.uniform(0, 1.6))
            killed += process.poll() is None
            process.send_signal(signal.SIGKILL)
    assert killed >= KILLS // 2
    generate(source, out)
    assert shard_bytes(out) == shard_bytes(unbroken)
