"""Runs a checkpoint of SAM 1 or of a starter, on our own fast path.

Safe under threads, and stateless but for what the decoder needs of the last few images, which a
person clicks on again and again. The results are those of `segment_anything.SamPredictor`, whose
arithmetic is rearranged to be fast; the tests hold the two equal.
"""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch

from sam_backend.sam.decoder import ImageFeatures, ImageSide, PromptDecoder
from sam_backend.sam.embed_and_prompt import Decoded, EmbedAndPrompt, model_version, same_size
from sam_backend.sam.encoder import ImageEncoder
from sam_backend.sam.precision import Precision
from sam_backend.sam.preprocess import LongestSide, PreparedImage
from sam_backend.sam.prompt_tensors import PromptTensors
from sam_backend.sam.reference import Sam
from sam_backend.sam.types import Embedding, Prompt


class Segmenter(EmbedAndPrompt[ImageSide]):
    """A promptable model of SAM 1's kind: a `Sam` of image encoder, prompt encoder and decoder."""

    def __init__(
        self,
        sam: Sam,
        version: str,
        weights_sha256: str = "",
        precision: Precision = Precision.FLOAT32,
        compiled: bool = False,
    ) -> None:
        """Takes a network in eval mode; `version` names its checkpoint.

        Args:
            sam: The network, on the device that it is to run on; later changes of its weights
                do not show.
            version: The checkpoint's version.
            weights_sha256: SHA-256 of its weights; tells apart checkpoints of the same
                version.
            precision: What the image encoder computes in; the rest is float32.
            compiled: Compile encoder and decoder with `torch.compile` at their first use.
        """
        sam = sam.eval().requires_grad_(requires_grad=False)
        resize = LongestSide(sam.image_encoder.img_size)
        mask_side = int(sam.prompt_encoder.mask_input_size[0])
        whole_version = model_version(version, weights_sha256, resize.key, precision)
        super().__init__(resize, mask_side, whole_version)
        self._sam = sam
        self._prompts = PromptTensors(sam, resize)
        self._encoder = ImageEncoder(sam, precision, compiled)
        self._decoder = PromptDecoder(sam, compiled)
        self._features = WeakKeyDictionary[Embedding, ImageFeatures]()
        self.mask_threshold = float(sam.mask_threshold)

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return torch.device(self._sam.device)

    @torch.inference_mode()
    def encode(self, images: Sequence[PreparedImage]) -> list[Embedding]:
        """Embeddings of a batch of images, as `embed` gives one."""
        batch = [
            torch.as_tensor(image.pixels, device=self.device).permute(2, 0, 1) for image in images
        ]
        features = self._encoder(torch.stack([self._sam.preprocess(one) for one in batch]))
        arrays = features.float().cpu().numpy()
        arrays.flags.writeable = False
        return [
            Embedding(
                features=array,
                image_size=image.image_size,
                input_size=image.input_size,
                cell_channels=self._sam.prompt_encoder.embed_dim,
            )
            for array, image in zip(arrays, images, strict=True)
        ]

    def is_ours(self, embedding: Embedding) -> bool:
        """Whether an embedding from a cache has the shape that this network gives and takes."""
        prompts = self._sam.prompt_encoder
        # one with finer features has more channels than its decoder is wide (`high_resolution`)
        channels = getattr(self._sam.image_encoder, "embedding_channels", prompts.embed_dim)
        shape = (channels, *prompts.image_embedding_size)
        is_resized = embedding.input_size == self._resize.input_size(embedding.image_size)
        return embedding.features.shape == shape and not embedding.finer and is_resized

    def _open(self, embedding: Embedding) -> ImageSide:
        return self._decoder.image_side(self._on_device(embedding))

    def _on_device(self, embedding: Embedding) -> torch.Tensor:
        # a copy: the cached array is read-only and may be shared between threads
        return torch.tensor(embedding.features, dtype=torch.float32, device=self.device)

    @torch.inference_mode()
    def _image_features(self, embedding: Embedding) -> ImageFeatures:
        known = self._features.get(embedding)
        if known is None:
            known = self._decoder.image_features(self._on_device(embedding))
            self._features[embedding] = known
        return known

    @torch.inference_mode()
    def _decode(
        self,
        image: ImageSide,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        multimask: bool,
        min_predicted_iou: float | None = None,
    ) -> Decoded:
        sparse, dense = self._prompts.encode(prompts, embedding.image_size)
        return self._decoder.decode(image, sparse, dense, multimask, min_predicted_iou)

    @torch.inference_mode()
    def _decode_across(
        self, embeddings: Sequence[Embedding], prompts: Sequence[Prompt], multimask: bool
    ) -> Decoded:
        parts = [
            self._prompts.encode(prompts[run], embeddings[run.start].image_size)
            for run in same_size(embeddings)
        ]
        sparse = torch.cat([tokens for tokens, _ in parts])
        dense = torch.cat([masks for _, masks in parts if masks is not None])
        images = [self._image_features(embedding) for embedding in embeddings]
        return self._decoder.decode_across(images, sparse, dense, multimask)
