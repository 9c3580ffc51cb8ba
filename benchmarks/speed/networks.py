"""The networks that are measured: the starter that ships, and SAM's sizes with random weights."""

from dataclasses import dataclass

import torch
from segment_anything.modeling import Sam

from benchmarks.speed.random_weights import spread
from benchmarks.speed.thresholds import Thresholds
from sam_backend.sam.checkpoints import load
from sam_backend.sam.families import family_named
from sam_backend.store.models import ModelStore, packaged_store

STARTER = "starter-3"


@dataclass(frozen=True, slots=True)
class Network:
    """A network and the thresholds its masks are accepted by.

    Attributes:
        name: As the results call it.
        sam: In eval mode on the device, float32.
        thresholds: Of the automatic generator.
    """

    name: str
    sam: Sam
    thresholds: Thresholds


def build(model: str, device: str) -> Network:
    """`starter`, or a family of `segment_anything` with the same random weights each time."""
    if model == "starter":
        entry = ModelStore([packaged_store()]).get(STARTER)
        told, usual = entry.card.automatic, Thresholds()
        thresholds = Thresholds(
            pred_iou_thresh=told.get("predicted_iou", usual.pred_iou_thresh),
            stability_score_thresh=told.get("stability", usual.stability_score_thresh),
            box_nms_thresh=told.get("box_nms", usual.box_nms_thresh),
        )
        return Network(STARTER, load(entry.folder, device).sam, thresholds)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sam = family_named(model).build().eval().requires_grad_(requires_grad=False)
        spread(sam)
    # random masks' boxes are nearly the image: suppression would leave one to compare
    return Network(model, sam.to(device), Thresholds(box_nms_thresh=1.0))
