"""A service over a real model and a real HTTP host of images, and requests as Label Studio's."""

import io
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import uvicorn
from PIL import Image
from starlette.types import ASGIApp

from sam_backend.server.protocol import PredictRequest, SetupRequest
from sam_backend.server.service import Service
from sam_backend.settings import Settings

PROJECT = "1.1795443184"
CONFIG = """<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="brush" toName="image" smart="false">
    <Label value="Car"/><Label value="Wheel"/>
  </BrushLabels>
  <KeyPointLabels name="kp" toName="image" smart="true" smartOnly="true">
    <Label value="Car"/><Label value="Wheel"/>
  </KeyPointLabels>
  <RectangleLabels name="rect" toName="image" smart="true" smartOnly="true">
    <Label value="Car"/><Label value="Wheel"/>
  </RectangleLabels>
</View>"""


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Pixels, shape (H, W, 3) or (H, W), as a file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def disc(size: tuple[int, int], x: float, y: float, radius: float) -> npt.NDArray[np.bool_]:
    """Pixels of a disc, shape (H, W) for size (height, width)."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def disc_image(
    size: tuple[int, int], x: float, y: float, radius: float, colour: tuple[int, int, int]
) -> npt.NDArray[np.uint8]:
    """A coloured disc on grey, shape (H, W, 3)."""
    pixels = np.full((*size, 3), 190, np.uint8)
    pixels[disc(size, x, y, radius)] = colour
    return pixels


@contextmanager
def running_service(folder: Path, **settings: Any) -> Iterator[Service]:
    """A service with the packaged starter; any Label Studio may be named to it."""
    told = {"label_studio_hosts": "*"} | settings
    with Service.start(Settings(data_dir=folder, **told)) as service:
        yield service


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """A real HTTP server on a free port; yields its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def set_up(service: Service, url: str, project: str = PROJECT, token: str = "t") -> None:
    """What Label Studio says first."""
    service.setup(SetupRequest(project=project, schema=CONFIG, hostname=url, access_token=token))


def point(x: float, y: float, is_positive: bool = True, **more: Any) -> dict[str, Any]:
    """A click at percent x, y, as the editor sends it."""
    return {
        "id": f"p{x:g}-{y:g}",
        "type": "keypointlabels",
        "from_name": "kp",
        "to_name": "image",
        "original_width": 320,
        "original_height": 240,
        "image_rotation": 0,
        "is_positive": is_positive,
        "value": {"x": x, "y": y, "width": 0.2, "keypointlabels": ["Car"]},
    } | more


def box(x: float, y: float, width: float, height: float, **more: Any) -> dict[str, Any]:
    """A smart rectangle in percent, as the editor sends it."""
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0}
    return {
        "id": f"b{x:g}-{y:g}",
        "type": "rectanglelabels",
        "from_name": "rect",
        "to_name": "image",
        "original_width": 320,
        "original_height": 240,
        "image_rotation": 0,
        "value": value | {"rectanglelabels": ["Car"]},
    } | more


def ask(
    service: Service,
    image: str,
    *prompts: Mapping[str, Any],
    task_id: int = 1,
    project: str = PROJECT,
    config: str = CONFIG,
    **task: Any,
) -> list[dict[str, Any]]:
    """Regions that the service answers to prompts on an image."""
    request = PredictRequest(
        tasks=[{"id": task_id, "project": 1, "data": {"image": image}} | task],
        project=project,
        label_config=config,
        params={"context": {"result": list(prompts)}},
    )
    (prediction,) = service.predict(request).content["results"]
    return prediction["result"]


def reasons(service: Service) -> list[str]:
    """Reasons in the journal, newest first."""
    return [entry.reason for entry in service.journal.entries()]
