"""Somebody who works in Label Studio through its API, and knows what they want.

Looking and clicking are real requests to Label Studio, which asks the backend as for its own page.
The time that it takes is modelled, for a program has none: a look, then a second or so a click, and
drawing by hand where the model does not get it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from target_pictures import SIZE, Masks

from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.region import Answer
from sam_backend.masks.clicks import correction_click, deepest_point
from sam_backend.masks.types import Mask

Json = dict[str, Any]

LOOK_S, CLICK_S, BY_HAND_S = 1.5, 1.3, 38.0
"""Seconds to find an object or to judge a mask, of a click, and of a mask drawn by hand."""
MAX_CLICKS = 5
GOOD_IOU = 0.85


def iou(a: Mask, b: Mask) -> float:
    """Of two masks of one size."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 0.0


@dataclass(frozen=True)
class Drawn:
    """One mask and what it cost.

    Attributes:
        region: As Label Studio stores it.
        seconds: Of the annotator's time.
        clicks: That it took; 0: drawn by hand, or prefilled.
    """

    region: Json
    seconds: float
    clicks: int


class Annotator:
    """One person.

    Args:
        http: Logged in to Label Studio.
        backend: Number of the project's backend there.
        config: Of the project.
    """

    def __init__(self, http: httpx.Client, backend: int, config: LabelConfig) -> None:
        self._http, self._backend = http, backend
        self._output = config.outputs("image")[0]
        self._label = config.label_for(self._output, "Object", config.control("click"))
        self._n_clicks = 0
        self.number = str(self._call("GET", "/api/current-user/whoami")["id"])

    def click_until_good(self, task: int, wanted: Mask) -> Drawn:
        """Click at the middle of what is wrong until the mask is right; else draw it by hand."""
        point, is_positive = deepest_point(wanted), True
        prompts: list[Json] = []
        for clicks in range(1, MAX_CLICKS + 1):
            self._n_clicks += 1
            prompts.append(_click(f"click-{self._n_clicks}", point, is_positive))
            context = {"result": prompts}
            path = f"/api/ml/{self._backend}/interactive-annotating"
            answer = self._call("POST", path, {"task": task, "context": context})["data"]
            regions = answer["result"]
            found = codec.decode(regions[0]) if regions else np.zeros(SIZE, np.bool_)
            if iou(found, wanted) >= GOOD_IOU:
                return Drawn(regions[0], LOOK_S + clicks * CLICK_S, clicks)
            wrong = correction_click(wanted, found)
            if wrong is None:
                break
            point, is_positive = wrong
        by_hand = codec.encode(wanted, Answer(self._output, self._label, None))[0]
        return Drawn(by_hand, LOOK_S + MAX_CLICKS * CLICK_S + BY_HAND_S, 0)

    def complete(self, task: int, shown: Sequence[Json], wanted: Masks) -> list[Drawn]:
        """Keep what is right of a prediction, delete the rest, click what is missing."""
        drawn, missing, seconds = [], list(wanted), 0.0
        for region in shown:
            seconds += LOOK_S
            mask = codec.decode(region)
            fitting = [one for one in missing if iou(mask, one) >= GOOD_IOU]
            if not fitting:
                seconds += CLICK_S  # delete it
                continue
            missing = [one for one in missing if one is not fitting[0]]
            drawn.append(Drawn(region, seconds, 0))
            seconds = 0.0
        drawn += [self.click_until_good(task, one) for one in missing]
        if drawn and seconds:
            last = drawn[-1]
            drawn[-1] = Drawn(last.region, last.seconds + seconds, last.clicks)
        return drawn

    def submit(self, task: int, drawn: Sequence[Drawn], prediction: int | None = None) -> None:
        """Submit an annotation, with the time that it took."""
        body: Json = {
            "result": [one.region for one in drawn],
            "lead_time": round(sum(one.seconds for one in drawn), 3),
        }
        if prediction is not None:
            body["parent_prediction"] = prediction
        self._call("POST", f"/api/tasks/{task}/annotations/", body)

    def tasks(self, project: int) -> list[Json]:
        """All tasks of a project, with annotations and predictions."""
        path = f"/api/tasks/?project={project}&page_size=500&fields=all"
        found: list[Json] = self._call("GET", path)["tasks"]
        return found

    def image(self, address: str) -> bytes:
        """The file behind a task's address."""
        answer = self._http.get(address)
        answer.raise_for_status()
        return answer.content

    def _call(self, method: str, path: str, body: Json | None = None) -> Any:
        answer = self._http.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()


def _click(name: str, point: tuple[int, int], is_positive: bool) -> Json:
    """One click as Label Studio's page sends it."""
    height, width = SIZE
    x, y = point
    return {
        "id": name,
        "from_name": "click",
        "to_name": "image",
        "type": "keypointlabels",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "is_positive": is_positive,
        "value": {
            "x": 100 * (x + 0.5) / width,
            "y": 100 * (y + 0.5) / height,
            "width": 0.2,
            "labels": ["Object"],
            "keypointlabels": ["Object"],
        },
    }
