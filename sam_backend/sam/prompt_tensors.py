"""From prompts on an image to the prompt encoder's tokens."""

from collections.abc import Sequence

import numpy as np
import torch

from sam_backend.sam.preprocess import LongestSide
from sam_backend.sam.reference import Sam
from sam_backend.sam.types import Prompt


class PromptTensors:
    """Encodes prompts as `segment_anything.SamPredictor` does."""

    def __init__(self, sam: Sam, resize: LongestSide) -> None:
        self._encoder = sam.prompt_encoder
        self._device = torch.device(sam.device)
        self._resize = resize

    def encode(
        self, prompts: Sequence[Prompt], image_size: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Tokens of prompts that all have the same parts and number of points.

        Args:
            prompts: On one image, at least one.
            image_size: (height, width) of the original image in pixels.

        Returns:
            Points and box as tokens, shape (N, T, C), and the masks as embeddings, shape
            (N, C, h, w), both float32; None if the prompts have no masks.
        """
        masks = self._masks(prompts)
        sparse, dense = self._encoder(
            points=self._points(prompts, image_size),
            boxes=self._boxes(prompts, image_size),
            masks=masks,
        )
        return sparse, None if masks is None else dense

    def _points(
        self, prompts: Sequence[Prompt], image_size: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        if not len(prompts[0].points):
            return None
        points = self._resize.to_input(np.stack([p.points for p in prompts]), image_size)
        labels = np.stack([p.labels for p in prompts])
        return (
            torch.as_tensor(points, dtype=torch.float, device=self._device),
            torch.as_tensor(labels, dtype=torch.int, device=self._device),
        )

    def _boxes(self, prompts: Sequence[Prompt], image_size: tuple[int, int]) -> torch.Tensor | None:
        boxes = [p.box for p in prompts if p.box is not None]
        if not boxes:
            return None
        corners = np.stack(boxes).reshape(-1, 2, 2)
        scaled = self._resize.to_input(corners, image_size).reshape(-1, 4)
        return torch.as_tensor(scaled, dtype=torch.float, device=self._device)

    def _masks(self, prompts: Sequence[Prompt]) -> torch.Tensor | None:
        masks = [p.mask_logits for p in prompts if p.mask_logits is not None]
        if not masks:
            return None
        return torch.tensor(np.stack(masks)[:, None], dtype=torch.float, device=self._device)
