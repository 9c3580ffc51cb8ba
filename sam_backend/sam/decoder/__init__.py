"""Prompts to masks: `segment_anything`'s mask decoder for many prompts on one image.

The arithmetic is rearranged, the results stay. Attention between tokens and image never builds a
prompt's own copy of the image: the image tokens stay a product of factors (`keys.py`) whose big
one is the same for every prompt (`image_side.py`) and whose small ones are as wide as the
attention probabilities. `weights.py` folds the network's weights for this, once.
"""

from sam_backend.sam.decoder.image_side import ImageFeatures, ImageSide
from sam_backend.sam.decoder.prompt_decoder import PromptDecoder

__all__ = ["ImageFeatures", "ImageSide", "PromptDecoder"]
