"""People who work in Label Studio through its API, as its page would on their behalf."""

from typing import Any, Self

import httpx
import numpy as np
from label_studio_sdk.converter.brush import mask2rle

from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.masks.types import Mask

Json = dict[str, Any]


class Person:
    """Somebody who works in Label Studio through the API."""

    def __init__(self, http: httpx.Client, headers: dict[str, str]) -> None:
        self._http, self._headers = http, headers
        self.number = str(self.call("GET", "/api/current-user/whoami")["id"])

    @classmethod
    def administrator(cls, server: LocalLabelStudio) -> Self:
        """The one who was there from the start."""
        return cls(httpx.Client(base_url=server.url, timeout=60), server.auth_headers)

    @classmethod
    def new(cls, server: LocalLabelStudio, email: str) -> Self:
        """Signs up through the form, so that what they save is theirs."""
        http = httpx.Client(base_url=server.url, timeout=30, follow_redirects=True)
        http.get("/user/signup/")
        form = {"email": email, "password": "correct horse", "allow_newsletters": "false"}
        headers = {"X-CSRFToken": http.cookies["csrftoken"], "Referer": server.url}
        http.post("/user/signup/", data=form, headers=headers).raise_for_status()
        return cls(http, headers | {"X-CSRFToken": http.cookies["csrftoken"]})

    def call(self, method: str, path: str, body: Json | list[Json] | None = None) -> Any:
        """A call that must succeed; None where the answer has no content."""
        answer = self.answer(method, path, body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def answer(
        self, method: str, path: str, body: Json | list[Json] | None = None
    ) -> httpx.Response:
        """A call that may fail."""
        return self._http.request(method, path, json=body, headers=self._headers)

    def tasks(self, project: int) -> list[Json]:
        """The tasks of a project, up to 500, with their annotations and predictions."""
        return self.call("GET", f"/api/tasks/?project={project}&page_size=500&fields=all")["tasks"]

    def submit(self, task: int, *result: Json, **fields: Any) -> Json:
        """Submit an annotation of these regions."""
        body = {"result": list(result), **fields}
        return self.call("POST", f"/api/tasks/{task}/annotations/", body)

    def click(self, backend: int, task: int, x: float, y: float, size: tuple[int, int]) -> Json:
        """One click as the page sends it; the backend's prediction as the page gets it.

        Args:
            backend: The backend's row in Label Studio.
            task: Its label config is one of our templates.
            x: In pixels of the image, like `y`.
            y: Downwards.
            size: The image's (height, width).
        """
        height, width = size
        prompt = {
            "id": "click",
            "from_name": "click",
            "to_name": "image",
            "type": "keypointlabels",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "is_positive": True,
            "value": {
                "x": 100 * x / width,
                "y": 100 * y / height,
                "width": 0.2,
                "labels": ["Object"],
                "keypointlabels": ["Object"],
            },
        }
        body = {"task": task, "context": {"result": [prompt]}}
        return self.call("POST", f"/api/ml/{backend}/interactive-annotating", body)["data"]


def brush_region(region_id: str, mask: Mask) -> Json:
    """A region that somebody painted, of the brush template."""
    height, width = mask.shape
    return {
        "id": region_id,
        "from_name": "mask",
        "to_name": "image",
        "type": "brushlabels",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {
            "format": "rle",
            "rle": mask2rle(mask.astype(np.uint8) * 255),
            "brushlabels": ["Object"],
        },
    }


def rectangle_region(
    region_id: str, tag: str, box: tuple[float, float, float, float], size: tuple[int, int]
) -> Json:
    """A rectangle that somebody drew.

    Args:
        region_id: Its id.
        tag: Name of its control tag.
        box: x0, y0, x1, y1 in pixels.
        size: (height, width) of the image in pixels.
    """
    height, width = size
    x0, y0, x1, y1 = box
    value = {"x": 100 * x0 / width, "y": 100 * y0 / height, "rotation": 0}
    value |= {"width": 100 * (x1 - x0) / width, "height": 100 * (y1 - y0) / height}
    return {
        "id": region_id,
        "from_name": tag,
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {**value, "rectanglelabels": ["Object"]},
    }
