"""Runs a network of the transformers library as a `PromptableModel`.

A family's file is a subclass of `LibraryModel`: which network, in which configurations, under which
names its authors publish the weights, and how it encodes and decodes. The library itself is
imported only when a network is built.
"""

import copy
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sam_backend.errors import InvalidInputError
from sam_backend.sam.embed_and_prompt import Decoded, EmbedAndPrompt, model_version
from sam_backend.sam.precision import Precision
from sam_backend.sam.preprocess import PreparedImage, Resize
from sam_backend.sam.types import Embedding, Prompt

PROMPTS_AT_ONCE_ON_CPU = 8
"""Each prompt takes some 50 MB while it is decoded, and a CPU gains nothing by more."""
PROMPTS_AT_ONCE = 32


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """An embedding's levels on the device, the coarse one first, each with a batch of one image."""

    tensors: tuple[torch.Tensor, ...]

    @property
    def n_bytes(self) -> int:
        """Memory held, in bytes."""
        return sum(level.nbytes for level in self.tensors)


class LibraryModel(EmbedAndPrompt[Levels]):
    """A promptable network of the library.

    Attributes:
        resize_kind: How images come into the network's square.
        side: The square's side in pixels, where no configuration says another one.
        mean: Mean of red, green and blue, of pixels from 0 to 1, subtracted from them.
        deviation: By which they are divided then.
        model_types: What a `config.json` calls itself, the network's own name first.
        type_prefix: How the names of its parts' types begin.
        sign: A weight that is in the authors' own files and in no other family's.
        left_out: Names of weights that a checkpoint may have and that images do not need.
    """

    resize_kind: ClassVar[type[Any]]
    side: ClassVar[int] = 1024
    mean: ClassVar[tuple[float, float, float]] = (0.485, 0.456, 0.406)
    deviation: ClassVar[tuple[float, float, float]] = (0.229, 0.224, 0.225)
    model_types: ClassVar[tuple[str, ...]]
    type_prefix: ClassVar[str]
    sign: ClassVar[str]
    left_out: ClassVar[re.Pattern[str]] = re.compile(r"(?!)")  # nothing

    @staticmethod
    @abstractmethod
    def build(config: Mapping[str, Any]) -> nn.Module:
        """The network with fresh weights, as a `config.json` describes it; empty: the default."""

    @staticmethod
    @abstractmethod
    def config_of(state: Mapping[str, torch.Tensor]) -> Mapping[str, Any]:
        """The configuration that the authors' own weights belong to, told from their shapes.

        Raises:
            ModelStoreError: There is none.
        """

    @staticmethod
    @abstractmethod
    def original_names(name: str) -> Sequence[str]:
        """What the authors' files call a weight of the library; several are joined, in order."""

    @staticmethod
    def library_name(name: str) -> str:
        """What the network calls a weight that a folder of the library calls `name`."""
        return name

    @classmethod
    def parts(cls, config: Mapping[str, Any]) -> dict[str, Any]:
        """The parts of a `config.json` that the network has."""
        return parts_of(config)

    @classmethod
    def resize_of(cls, config: Mapping[str, Any]) -> Resize:
        """How images come into a network of this configuration."""
        side = cls.parts(config).get("prompt_encoder_config", {}).get("image_size", cls.side)
        resize: Resize = cls.resize_kind(side)
        return resize

    @abstractmethod
    def _levels(self, pixels: torch.Tensor) -> Sequence[torch.Tensor]:
        """Encodes pixels (B, 3, S, S) float32, normalised: the coarse level, then finer ones."""

    @abstractmethod
    def _level_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of one image's levels, as `_levels` orders them."""

    @abstractmethod
    def _answer(self, levels: Sequence[torch.Tensor], multimask: bool, **prompts: Any) -> Any:
        """Runs prompt encoder and decoder: the library's `pred_masks` and `iou_scores`."""

    def __init__(
        self,
        network: nn.Module,
        version: str,
        weights_sha256: str = "",
        precision: Precision = Precision.FLOAT32,
    ) -> None:
        """Take a network in eval mode, on the device that it is to run on.

        Args:
            network: With its library's `config`.
            version: The checkpoint's version.
            weights_sha256: SHA-256 of its weights; tells apart checkpoints of the same
                version.
            precision: What the image encoder computes in; the rest is float32.

        Raises:
            InvalidInputError: The precision is int8.
        """
        if precision is Precision.INT8:
            raise InvalidInputError(
                f"precision int8 is made for SAM 1 and the starters, not for {version}: "
                "use float32 or bfloat16"
            )
        self._network: Any = network.eval().requires_grad_(requires_grad=False)
        self._precision = precision
        config: Any = network.config
        prompts = config.prompt_encoder_config
        resize = self.resize_of({"prompt_encoder_config": {"image_size": prompts.image_size}})
        mask_side = 4 * (prompts.image_size // prompts.patch_size)
        whole_version = model_version(version, weights_sha256, resize.key, precision)
        super().__init__(resize, mask_side, whole_version)
        self._device = next(network.parameters()).device
        self._mean = 255 * torch.tensor(self.mean, device=self._device)[:, None, None]
        self._deviation = 255 * torch.tensor(self.deviation, device=self._device)[:, None, None]
        is_cpu = self._device.type == "cpu"
        self._images_at_once = 1 if is_cpu else 16
        self._prompts_at_once = PROMPTS_AT_ONCE_ON_CPU if is_cpu else PROMPTS_AT_ONCE

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self._device

    @torch.inference_mode()
    def encode(self, images: Sequence[PreparedImage]) -> list[Embedding]:
        """Embeddings of a batch of images, as `embed` gives one."""
        found = []
        for start in range(0, len(images), self._images_at_once):
            part = images[start : start + self._images_at_once]
            pixels = torch.stack([self._input(image) for image in part])
            is_half = self._precision is Precision.BFLOAT16
            with torch.autocast(self._device.type, torch.bfloat16, enabled=is_half):
                levels = self._levels(pixels)
            arrays = [level.float().cpu().contiguous().numpy() for level in levels]
            for array in arrays:
                array.flags.writeable = False
            found += [
                Embedding(coarse, image.image_size, image.input_size, finer=tuple(finer))
                for image, coarse, *finer in zip(part, *arrays, strict=True)
            ]
        return found

    def is_ours(self, embedding: Embedding) -> bool:
        """Whether an embedding from a cache has the shapes that this network gives and takes."""
        shapes = tuple(level.shape for level in (embedding.features, *embedding.finer))
        is_resized = embedding.input_size == self._resize.input_size(embedding.image_size)
        return shapes == self._level_shapes() and is_resized

    def _input(self, image: PreparedImage) -> torch.Tensor:
        """Pixels of the square input, shape (3, S, S) float32; padding is 0."""
        pixels = torch.as_tensor(image.pixels, device=self._device).permute(2, 0, 1)
        height, width = image.input_size
        side = self._resize.side
        square = torch.zeros((3, side, side), device=self._device)
        square[:, :height, :width] = (pixels - self._mean) / self._deviation
        return square

    def _open(self, embedding: Embedding) -> Levels:
        # copies: the cached arrays are read-only and may be shared between threads
        levels = (embedding.features, *embedding.finer)
        return Levels(
            tuple(
                torch.tensor(level, dtype=torch.float32, device=self._device)[None]
                for level in levels
            )
        )

    def _decode(
        self,
        image: Levels,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        multimask: bool,
        min_predicted_iou: float | None = None,
    ) -> Decoded:
        images, sizes = [image] * len(prompts), [embedding.image_size] * len(prompts)
        return self._in_parts(images, sizes, prompts, multimask, min_predicted_iou)

    def _decode_across(
        self, embeddings: Sequence[Embedding], prompts: Sequence[Prompt], multimask: bool
    ) -> Decoded:
        images = [self._opened(embedding) for embedding in embeddings]
        sizes = [embedding.image_size for embedding in embeddings]
        return self._in_parts(images, sizes, prompts, multimask, None)

    @torch.inference_mode()
    def _in_parts(
        self,
        images: Sequence[Levels],
        sizes: Sequence[tuple[int, int]],
        prompts: Sequence[Prompt],
        multimask: bool,
        min_predicted_iou: float | None,
    ) -> Decoded:
        """Decodes prompts that are alike, each on its image, some of them at once."""
        ious, kept, logits = [], [], []
        for start in range(0, len(prompts), self._prompts_at_once):
            part = slice(start, start + self._prompts_at_once)
            found = self._run(images[part], sizes[part], prompts[part], multimask)
            scores, masks = found.iou_scores.flatten(0, 1), found.pred_masks.flatten(0, 1)
            least = -torch.inf if min_predicted_iou is None else min_predicted_iou
            is_kept = (scores > least).any(dim=1)
            ious.append(scores.float())
            kept.append(start + is_kept.nonzero()[:, 0])
            logits.append(masks[is_kept].float())
        return Decoded(torch.cat(ious), torch.cat(kept), torch.cat(logits))

    def _run(
        self,
        images: Sequence[Levels],
        sizes: Sequence[tuple[int, int]],
        prompts: Sequence[Prompt],
        multimask: bool,
    ) -> Any:
        """Prompts without masks on one image are its objects; those with masks are a batch."""
        lead = (1, len(prompts)) if prompts[0].mask_logits is None else (len(prompts), 1)
        placed = list(zip(prompts, sizes, strict=True))
        given: dict[str, Any] = {}
        if len(prompts[0].points):
            points = [self._resize.to_input(one.points, size) for one, size in placed]
            labels = np.stack([one.labels for one in prompts]).astype(np.int64)
            given["input_points"] = self._tensor(points).reshape(*lead, -1, 2)
            given["input_labels"] = torch.tensor(labels, device=self._device).reshape(*lead, -1)
        boxes = [
            self._resize.to_input(one.box.reshape(2, 2), size)
            for one, size in placed
            if one.box is not None
        ]
        if boxes:
            given["input_boxes"] = self._tensor(boxes).reshape(*lead, 4)
        masks = [p.mask_logits for p in prompts if p.mask_logits is not None]
        if masks:
            given["input_masks"] = self._tensor(masks)[:, None]
            levels = [torch.cat(level) for level in zip(*(i.tensors for i in images), strict=True)]
        else:
            levels = list(images[0].tensors)
        return self._answer(levels, multimask, **given)

    def _tensor(self, arrays: Sequence[npt.NDArray[np.floating]]) -> torch.Tensor:
        return torch.tensor(np.stack(arrays), dtype=torch.float32, device=self._device)


def parts_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a `config.json` that every family here has, as copies."""
    parts = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    return {part: copy.deepcopy(config[part]) for part in parts if config.get(part)}


def renamed(name: str, patterns: Sequence[tuple[str, str]]) -> str:
    """A name after each of the replacements, in their order."""
    for pattern, replacement in patterns:
        name = re.sub(pattern, replacement, name)
    return name
