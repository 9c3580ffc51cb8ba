"""The Python API: a model, an image, and masks for prompts or for everything in it; a project.

`import sam_backend as sb` gives all names of this module; `docs/python.md` shows them at work.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sam_backend.datasets.decoding import decode_image
from sam_backend.datasets.image_files import read_bytes, readable_name
from sam_backend.datasets.reading import read_dataset
from sam_backend.datasets.selection import select
from sam_backend.errors import ImageDecodeError, InvalidInputError, PromptError, SamBackendError
from sam_backend.fully_automatic.executors import Machines, executor_named
from sam_backend.fully_automatic.generating import Progress, Summary, generate_run, plan_run
from sam_backend.fully_automatic.run_folder import read_run
from sam_backend.metrics.interactive import MAX_CLICKS
from sam_backend.project_api import LabelStudioProject, open_project
from sam_backend.retraining.evaluation import Evaluation, evaluate_model
from sam_backend.sam.automatic import generator
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.sam.checkpoint_files import CARD_NAME
from sam_backend.sam.checkpoints import LoadedModel, choose_device, load
from sam_backend.sam.precision import choose_precision
from sam_backend.sam.promptable import PromptableModel
from sam_backend.sam.types import Candidate, Embedding, Prompt
from sam_backend.settings import Settings
from sam_backend.store.cards import read_card
from sam_backend.store.models import ModelStore, open_store, packaged_store
from sam_backend.store.shards import ImageMasks

__all__ = [
    "AutomaticSettings",
    "Candidate",
    "Embedding",
    "Evaluation",
    "ImageMasks",
    "InvalidInputError",
    "LabelStudioProject",
    "MaskRecord",
    "Model",
    "Prompt",
    "SamBackendError",
    "evaluate",
    "generate",
    "generate_shards",
    "load_model",
    "open_project",
    "read_image",
    "read_shards",
]

STARTER = "starter"
"""Names the small model that ships with the package, whatever its version."""
_WEIGHTS_SUFFIXES = {".pth", ".pt", ".safetensors"}


class Model:
    """A checkpoint that is ready to run; safe under threads.

    Attributes:
        loaded: The network and where it is from.
        promptable: Answers prompts with it.
        automatic: Settings of `generate` that suit this checkpoint, by their names in
            `AutomaticSettings`; where they are silent, `segment_anything`'s defaults hold.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        promptable: PromptableModel,
        automatic: Mapping[str, float] | None = None,
    ) -> None:
        """Take a loaded checkpoint; `load_model` makes one from a name."""
        self.loaded = loaded
        self.promptable = promptable
        self.automatic = dict(automatic or {})

    def __repr__(self) -> str:
        """Return the version and the device, for notebooks."""
        return f"<Model {self.version} on {self.promptable.device}>"

    @property
    def version(self) -> str:
        """The checkpoint's version with a fingerprint, such as `starter-3+1f0c93aa`.

        The fingerprint changes with the weights, the preprocessing and the precision.
        """
        return self.promptable.model_version

    def embed(self, image: npt.NDArray[np.uint8]) -> Embedding:
        """Run the image encoder, the slow part; any number of prompts can follow.

        Args:
            image: RGB, shape (H, W, 3) uint8, as `read_image` gives it.

        Raises:
            InvalidInputError: The array is no RGB image.
        """
        return self.promptable.embed(_checked_image(image))

    def predict(
        self,
        embedding: Embedding,
        prompt: Prompt,
        multimask: bool | None = None,
        limit: int | None = None,
    ) -> list[Candidate]:
        """Return the masks that a prompt may mean, the highest predicted IoU first.

        Args:
            embedding: From this model's `embed`.
            prompt: Points, a box and earlier logits, in any combination.
            multimask: True: three masks (whole, part, subpart); False: one; None: three if the
                prompt is a single point, else one.
            limit: Return at most so many.

        Raises:
            PromptError: A point or the whole box lies outside of the image, or the mask prompt has
                another size than this model's.
            InvalidInputError: Another model made the embedding.
        """
        return self.predict_many(embedding, [prompt], multimask, limit)[0]

    def predict_many(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        multimask: bool | None = None,
        limit: int | None = None,
    ) -> list[list[Candidate]]:
        """Return what `predict` gives for each prompt; faster than one call for each.

        Args:
            embedding: From this model's `embed`.
            prompts: One prompt for each object, in any combination of points, boxes and logits.
            multimask: How many masks each prompt gets: three if True, one if False, and if None
                three for a single point and one for everything else.
            limit: Return at most so many masks for each prompt.

        Returns:
            One list for each prompt, in the order of `prompts`, the highest predicted IoU first.

        Raises:
            PromptError: A point or a whole box lies outside of the image, or a mask prompt has
                another size than this model's.
            InvalidInputError: Another model made the embedding.
        """
        if not self.promptable.is_ours(embedding):
            raise InvalidInputError(
                f"an embedding of shape {embedding.features.shape} was not made by "
                f"{self.version}: use the embedding that this model's `embed` returns"
            )
        for prompt in prompts:
            _check_inside(prompt, embedding.image_size)
        return self.promptable.predict_many(embedding, prompts, multimask, limit)

    def generate(
        self,
        image: npt.NDArray[np.uint8],
        preset: str | None = None,
        **settings: float | None,
    ) -> Iterator[MaskRecord]:
        """Find the masks of everything in an image, from a grid of points.

        Args:
            image: RGB, shape (H, W, 3) uint8, as `read_image` gives it.
            preset: `paper` (the recipe of SA-1B) or `segment_anything`, which are made for SAM's
                own checkpoints and leave next to nothing of a starter's masks; or `fast`, which
                asks fewer points with the checkpoint's thresholds. None: the settings that suit
                the checkpoint.
            **settings: Values of `AutomaticSettings` that go before those, such as
                `points_per_side=16`.

        Returns:
            The masks. They are computed when the first one is asked for.

        Raises:
            InvalidInputError: The array is no RGB image, or a setting is unknown or out of range.
        """
        chosen = AutomaticSettings.of(self.automatic, preset, **settings)
        return generator.generate(self.promptable, _checked_image(image), chosen)


def load_model(
    name: str | Path | None = None, device: str | None = None, precision: str | None = None
) -> Model:
    """Load a checkpoint.

    Settings come from the environment (`SAM_BACKEND_…`), as for the server; arguments go before.

    Args:
        name: One of

            - `"starter"`: the small model that ships with the package,
            - a version of the model store, such as `"starter-3"`, or a family, such as `"vit_b"`
              (`sam-backend models pull vit_b` downloads it),
            - a path to a weights file (`.pth`, `.safetensors`), to a folder with a card, or to a
              folder of the transformers library (`config.json`, `model.safetensors`),
            - None: the checkpoint that `sam-backend serve` would serve.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        precision: `auto`, `float32`, `bfloat16` or `int8`, of the image encoder.

    Raises:
        ModelStoreError: There is no such model, or its file is damaged.
        InvalidInputError: The device or the precision is not possible here.
    """
    configured = Settings()
    chosen_device = choose_device(device or configured.device)
    chosen_precision = choose_precision(precision or configured.precision, chosen_device)
    if configured.threads is not None:
        torch.set_num_threads(configured.threads)
    folder_or_file = _checkpoint_path(name, configured)
    loaded = load(folder_or_file, chosen_device)
    promptable = loaded.promptable(chosen_precision, configured.compile)
    card = folder_or_file / CARD_NAME
    return Model(loaded, promptable, read_card(card).automatic if card.is_file() else None)


def read_image(path: str | Path) -> npt.NDArray[np.uint8]:
    """Read an image file as RGB, shape (H, W, 3) uint8, upright as its EXIF orientation says.

    JPEG, PNG, WebP, AVIF, GIF, BMP, JPEG 2000, PPM and TIFF are read, HEIC with the extra `heic`.

    Args:
        path: The image file to read.

    Raises:
        FileNotFoundError: There is no such file.
        ImageDecodeError: It is no image, damaged or too large.
        InvalidInputError: It is a web address.
    """
    if "://" in str(path):
        raise InvalidInputError(f"read_image reads files of this machine, not addresses: {path}")
    file = Path(path)
    try:
        return decode_image(read_bytes(file))
    except ImageDecodeError as error:
        raise ImageDecodeError(f"{readable_name(file)}: {error}") from None


def generate(
    image: npt.NDArray[np.uint8] | str | Path,
    model: Model | str | Path | None = None,
    preset: str | None = None,
    **settings: float | None,
) -> Iterator[MaskRecord]:
    """Find the masks of everything in an image; `Model.generate` in one line.

    Args:
        image: A file, or RGB, shape (H, W, 3) uint8.
        model: A loaded model, or what `load_model` takes. Load it once if there are more images.
        preset: `paper`, `segment_anything` or `fast`; None: the settings that suit the checkpoint.
        **settings: Single values of `AutomaticSettings`, which go before the preset's, such as
            `points_per_side=16`.

    Raises:
        SamBackendError: Image, model or a setting cannot be used.
    """
    pixels = read_image(image) if isinstance(image, str | Path) else image
    chosen = model if isinstance(model, Model) else load_model(model)
    return chosen.generate(pixels, preset, **settings)


def generate_shards(
    source: str | Path,
    out: str | Path,
    model: str | None = None,
    preset: str | None = None,
    *,
    device: str | None = None,
    shard_images: int = 256,
    observe: Callable[[Progress], None] = lambda progress: None,
    **settings: float | None,
) -> Summary:
    """Find the masks of many images and write them to Parquet, as `sam-backend generate` does.

    The same call goes on where a killed one ended, and does nothing where all is done. One process
    of this machine computes; the command's `--executor ray` spreads a run over several.

    Args:
        source: Folder, glob, image, list file, `s3://`, `gs://` or `az://` address, or
            `labelstudio://<project>`.
        out: Folder of the run, for `read_shards`.
        model: A version of the model store; None: what `sam-backend serve` would serve.
        preset: `paper`, `segment_anything` or `fast`; None: the settings that suit the checkpoint.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        shard_images: Images of one Parquet file, at least 1.
        observe: Called with the progress, again and again.
        **settings: Single values of `AutomaticSettings`, which go before the preset's, such as
            `points_per_side=16`.

    Returns:
        How many images were read, left out and done, and why some could not be read.

    Raises:
        InvalidInputError: The source has no images, a setting is unknown or out of range, or `out`
            holds another run.
        ModelStoreError: There is no such model.
    """
    if shard_images < 1:
        raise InvalidInputError(f"shard_images must be at least 1, not {shard_images}")
    named: dict[str, Any] = {"model": model, "device": device}
    configured = Settings(**{name: value for name, value in named.items() if value is not None})
    given: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    if preset is not None:
        given["preset"] = preset
    plan = plan_run(configured, str(source), given, shard_images)
    executor = executor_named("local", configured, Machines())
    return generate_run(configured, Path(out), plan, executor, observe)


def read_shards(run: str | Path) -> Iterator[ImageMasks]:
    """Read what `generate_shards` or `sam-backend generate` wrote, image by image.

    Only some rows are in memory at once.

    Args:
        run: The folder of the run, named by `out` or `--out`.

    Raises:
        InvalidInputError: The folder holds no run, or the run is not finished.
    """
    return read_run(Path(run)).images()


def evaluate(
    model: Model,
    data: str | Path,
    images: str | Path | None = None,
    *,
    automatic: bool = False,
    max_clicks: int = MAX_CLICKS,
    min_area: float = 0.0,
    annotator: str = "all",
    limit: int | None = None,
) -> Evaluation:
    """Measure a model on a data set, as `sam-backend evaluate` does: simulated clicks and boxes.

    Args:
        model: Measured with its image encoder in float32.
        data: COCO, SA-1B, a manifest, or a folder with images and mask files.
        images: Folder of the images, if they do not lie beside the masks.
        automatic: Measure the recall of `Model.generate` too; slow.
        max_clicks: Clicks for each mask at the most.
        min_area: Least share of its image that a mask covers, 0 to 1.
        annotator: Whose masks: `all`, `first` (of each image), or a name.
        limit: Measure at most so many images.

    Raises:
        InvalidInputError: There is no data set, or no mask in it that is asked for.
        ImageDecodeError: An image cannot be read.
    """
    whole = read_dataset(Path(data), None if images is None else Path(images))
    chosen = select(whole, min_area, annotator, limit=limit)
    thresholds = AutomaticSettings.of(model.automatic) if automatic else None
    return evaluate_model(
        model.loaded, chosen, lambda stage, done, of: None, max_clicks, thresholds
    )


def _checkpoint_path(name: str | Path | None, settings: Settings) -> Path:
    """Return the folder or file of a checkpoint."""
    if name is None:
        return open_store(settings).to_serve(settings.model).folder
    if name == STARTER:
        return ModelStore([packaged_store()]).best().folder
    path = Path(name).expanduser()
    is_path = isinstance(name, Path) or len(path.parts) > 1 or path.suffix in _WEIGHTS_SUFFIXES
    if is_path or path.is_file():
        return path
    return open_store(settings).get(str(name)).folder


def _checked_image(image: object) -> npt.NDArray[np.uint8]:
    """Return the pixels of an RGB image.

    Raises:
        InvalidInputError: It is something else; the message says how to make it one.
    """
    if isinstance(image, str | Path):
        raise InvalidInputError(f"an image must be an array: sb.read_image({str(image)!r})")
    pixels: npt.NDArray[Any] = np.asarray(image)
    shape, kind = pixels.shape, pixels.dtype
    if pixels.ndim not in {2, 3} or not pixels.size:
        remedy = "an empty image has no mask" if not pixels.size else "give the array of one image"
    elif pixels.ndim == 2:
        remedy = "repeat a grey image in three channels: np.stack([image] * 3, axis=-1)"
    elif shape[2] == 4:
        remedy = "leave the opacity away: image[..., :3]"
    elif shape[2] != 3 and shape[0] == 3:
        remedy = "put the channels last: image.transpose(1, 2, 0)"
    elif shape[2] != 3:
        remedy = f"choose three of its {shape[2]} channels"
    elif kind != np.uint8:
        scaled = "image * 255" if kind.kind == "f" and float(np.nanmax(pixels)) <= 1 else "image"
        remedy = f"bring the values to 0 to 255: ({scaled}).clip(0, 255).astype(np.uint8)"
    else:
        return pixels
    raise InvalidInputError(
        f"an image must be RGB, uint8 of shape (H, W, 3), not {kind} of shape {shape}: {remedy}"
    )


def _check_inside(prompt: Prompt, image_size: tuple[int, int]) -> None:
    """Refuse a prompt that asks beside the image.

    Raises:
        PromptError: A point lies outside, or the box has no pixel of the image.
    """
    height, width = image_size
    where = f"the image of {width} x {height} pixels (width x height)"
    for x, y in prompt.points.tolist():
        if not (0 <= x < width and 0 <= y < height):
            raise PromptError(f"the point ({x:g}, {y:g}) (x, y) lies outside of {where}")
    if prompt.box is not None:
        x0, y0, x1, y1 = prompt.box.tolist()
        if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
            raise PromptError(
                f"the box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) (x0, y0, x1, y1) lies outside of {where}"
            )
