"""Click latency over HTTP: what one annotator waits for, alone and among others.

Starts a real `sam-backend serve`, an image host that plays Label Studio, and (with --redis) a
Redis server, then clicks as 1, 8 and 32 users. Prints one Markdown table; the baseline is
`segment_anything.SamPredictor` with Label Studio's own RLE converter, in this same run, so that
figures compare across machines as ratios.

    python -m benchmarks.click [--redis] [--clicks 20] [--users 1 8 32] [--model starter-3]
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import numpy as np
import skimage.data
from PIL import Image

from sam_backend.demo.server_process import ServerProcess, free_port
from sam_backend.program import PROGRAM
from sam_backend.settings import Settings

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image" smart="false"><Label value="Object"/></BrushLabels>
<KeyPointLabels name="kp" toName="image" smart="true"><Label value="Object"/></KeyPointLabels>
</View>"""
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
STAGES = ("fetch", "encode", "decode", "rle", "json")
THINK_S = 0.5
N_FIRST_CLICKS = 8


@dataclass(frozen=True, slots=True)
class Click:
    """One measured click: wall time at the client and the server's own split, in milliseconds."""

    wall_ms: float
    stages_ms: dict[str, float]


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        images = _write_photos(folder, max(N_FIRST_CLICKS, *arguments.users))
        host = stack.enter_context(_image_host(folder))
        redis_url = stack.enter_context(_redis()) if arguments.redis else None
        url = stack.enter_context(_backend(folder, arguments.model, redis_url))
        setup = {"project": "1.1", "schema": CONFIG, "hostname": host, "access_token": ""}
        version = httpx.post(f"{url}/setup", json=setup).raise_for_status().json()["model_version"]
        with httpx.Client(base_url=url, timeout=100) as client:
            first = [_click(client, name, task, 0) for task, name in enumerate(images)]
        rows = [("first click (cold image), 1 user", first)]
        for n_users in arguments.users:
            rows.append((f"warm, {n_users} users", _crowd(url, images, n_users, arguments.clicks)))
    baseline_ms = _baseline(version.split("+")[0])
    redis = "with Redis" if redis_url else "without Redis"
    print(f"model {version}, {os.cpu_count()} cores, {redis}, think time {THINK_S} s\n")
    print(f"| case | median ms | p95 ms | {' | '.join(STAGES)} (median ms) | baseline / median |")
    print("|---|---|---|" + "---|" * (len(STAGES) + 1))
    for name, clicks in rows:
        baseline = baseline_ms["first" if "first" in name else "warm"]
        print(_row(name, clicks, baseline))
    print(
        f"\nbaseline (SamPredictor + SDK RLE): first click {baseline_ms['first']:.0f} ms, "
        f"warm {baseline_ms['warm']:.0f} ms"
    )


def _row(name: str, clicks: list[Click], baseline_ms: float) -> str:
    walls = [click.wall_ms for click in clicks]
    p95 = statistics.quantiles(walls, n=20, method="inclusive")[18]
    stages = [
        f"{statistics.median(click.stages_ms.get(stage, 0.0) for click in clicks):.1f}"
        for stage in STAGES
    ]
    median = statistics.median(walls)
    figures = f"{median:.1f} | {p95:.1f} | {' | '.join(stages)} | {baseline_ms / median:.1f}"
    return f"| {name} | {figures} |"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--redis", action="store_true", help="share embeddings through Redis")
    parser.add_argument("--clicks", type=int, default=20, help="clicks of each user")
    parser.add_argument("--users", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--model", help="version in the model store")
    return parser.parse_args()


def _write_photos(folder: Path, n_images: int) -> list[str]:
    """One image a user, each other bytes, about one megapixel."""
    names = []
    for number in range(n_images):
        pixels = getattr(skimage.data, PHOTOS[number % len(PHOTOS)])()
        image = Image.fromarray(pixels).convert("RGB").resize((1200, 900))
        image.putpixel((0, 0), (number, number, number))
        image.save(folder / f"{number}.jpg", quality=90)
        names.append(f"{number}.jpg")
    return names


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def _image_host(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


@contextlib.contextmanager
def _backend(folder: Path, model: str | None, redis_url: str | None) -> Iterator[str]:
    port = free_port()
    own = Settings()
    settings = {
        "SAM_BACKEND_DATA_DIR": str(folder / "data"),
        "SAM_BACKEND_MODEL_STORE": str(own.model_store or own.data_dir / "model_store"),
    }
    if redis_url:  # no memory, so that every click takes its embedding from Redis
        settings |= {"REDIS_URL": redis_url, "SAM_BACKEND_CACHE_MEMORY_MB": "0"}
    if model:
        settings["SAM_BACKEND_MODEL"] = model
    url = f"http://127.0.0.1:{port}"
    command = [*PROGRAM, "serve", "--port", str(port)]
    with ServerProcess("the backend", command, f"{url}/ready", folder / "backend.log", settings):
        yield url


@contextlib.contextmanager
def _redis() -> Iterator[str]:
    if shutil.which("redis-server") is None:
        raise SystemExit("--redis needs a redis-server on the PATH")
    port = free_port()
    process = subprocess.Popen(
        ["redis-server", "--port", str(port), "--save", ""], stdout=subprocess.DEVNULL
    )
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(timeout=10)


def _click(client: httpx.Client, image: str, task: int, number: int) -> Click:
    """A fresh single click, so that every one is decoded anew."""
    x, y = 50 + 7 * (number % 5), 50 + 7 * (number // 5 % 5)
    point = {
        "id": f"c{task}-{number}",
        "type": "keypointlabels",
        "from_name": "kp",
        "to_name": "image",
        "original_width": 1200,
        "original_height": 900,
        "is_positive": True,
        "value": {"x": x, "y": y, "width": 0.2, "keypointlabels": ["Object"]},
    }
    body = {
        "tasks": [{"id": task, "data": {"image": f"/{image}"}}],
        "project": "1.1",
        "label_config": CONFIG,
        "params": {"context": {"result": [point]}},
    }
    start_s = time.perf_counter()
    response = client.post("/predict", json=body).raise_for_status()
    wall_ms = (time.perf_counter() - start_s) * 1e3
    if not response.json()["results"][0]["result"]:
        raise SystemExit(f"no mask for {image}: see /status")
    parts = (part.split(";dur=") for part in response.headers["server-timing"].split(", "))
    return Click(wall_ms, {name: float(ms) for name, ms in parts})


def _crowd(url: str, images: list[str], n_users: int, n_clicks: int) -> list[Click]:
    def user(task: int) -> list[Click]:
        clicks = []
        with httpx.Client(base_url=url, timeout=100) as client:
            for number in range(1, n_clicks + 1):
                time.sleep(THINK_S * (0.5 + np.random.default_rng([task, number]).random()))
                clicks.append(_click(client, images[task], task, number))
        return clicks

    with ThreadPoolExecutor(n_users) as pool:
        return [click for clicks in pool.map(user, range(n_users)) for click in clicks]


def _baseline(version: str, n_clicks: int = 5) -> dict[str, float]:
    """The same click with the reference classes, in this process: median milliseconds."""
    from label_studio_sdk.converter.brush import mask2rle
    from segment_anything import SamPredictor

    from sam_backend.sam.checkpoints import load
    from sam_backend.store.models import open_store

    predictor = SamPredictor(load(open_store(Settings()).get(version).folder).sam)
    jpeg = io.BytesIO()
    Image.fromarray(skimage.data.coffee()).resize((1200, 900)).save(jpeg, "JPEG", quality=90)
    first, warm = [], []
    for number in range(n_clicks):
        start_s = time.perf_counter()
        predictor.set_image(np.asarray(Image.open(jpeg).convert("RGB")))
        set_s = time.perf_counter()
        masks, scores, _ = predictor.predict(
            np.array([[600.0 + number, 450.0]]), np.array([1]), multimask_output=True
        )
        json.dumps(mask2rle(masks[scores.argmax()].astype(np.uint8) * 255))
        end_s = time.perf_counter()
        first.append((end_s - start_s) * 1e3)
        warm.append((end_s - set_s) * 1e3)
    return {"first": statistics.median(first), "warm": statistics.median(warm)}


if __name__ == "__main__":
    main()
