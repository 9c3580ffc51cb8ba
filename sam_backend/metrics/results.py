"""What one simulated annotator saw of one mask."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MaskResult:
    """How well one mask was found.

    Attributes:
        image: Names its image; masks of one image are no independent witnesses.
        mask: sha256 of its run lengths: tells whether two results are of the same mask.
        ious: IoU after each click that was spent, first to last.
        best_iou: After the first click, had the annotator picked the best of the candidates.
        box_iou: For the tight box.
        one_click_boundary_iou: Boundary IoU after the first click.
        three_click_boundary_iou: After the third, or the last if fewer were spent.
        box_boundary_iou: For the tight box.
        predicted_iou: The model's own estimate of `ious[0]`.
    """

    image: str
    mask: str
    ious: tuple[float, ...]
    best_iou: float
    box_iou: float
    one_click_boundary_iou: float
    three_click_boundary_iou: float
    box_boundary_iou: float
    predicted_iou: float

    def iou_after(self, clicks: int) -> float:
        """IoU after so many clicks; where fewer were spent, the last one's stays."""
        return self.ious[min(clicks, len(self.ious)) - 1]

    def reaches(self, target_iou: float, max_clicks: int) -> bool:
        """Whether the IoU reaches `target_iou` within `max_clicks`."""
        return any(iou >= target_iou for iou in self.ious[:max_clicks])

    def n_clicks(self, target_iou: float, max_clicks: int) -> int:
        """Clicks until the IoU reaches `target_iou`; a failure counts as `max_clicks`.

        As `compute_noc_metric` of RITM (Sofiiuk, Petrov, Konushin, "Reviving
        Iterative Training with Mask Guidance", arXiv 2102.06583).
        """
        reached = (n for n, iou in enumerate(self.ious, start=1) if iou >= target_iou)
        return min(next(reached, max_clicks), max_clicks)
