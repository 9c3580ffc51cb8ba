"""`local`: threads read and decode, the one owner of the device computes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import ClassVar

from typing_extensions import override

from sam_backend.errors import InvalidInputError
from sam_backend.fully_automatic.executors.base import Executor, Machines
from sam_backend.fully_automatic.image_processor import ImageProcessor
from sam_backend.fully_automatic.manifest import ImageEntry
from sam_backend.fully_automatic.run_folder import RunPlan
from sam_backend.fully_automatic.sources import ImageReader
from sam_backend.sam.embeddings import MemoryEmbeddings
from sam_backend.serving.champion import Champion
from sam_backend.serving.factory import serve_champion
from sam_backend.serving.model_choice import ModelChoice
from sam_backend.settings import Settings
from sam_backend.store.models import open_store
from sam_backend.store.shards import ImageMasks

# While one image is on the device, others are read, decoded or on their way to the disk.
_AT_ONCE = 3


class Local(Executor):
    """This process and its device."""

    name: ClassVar[str] = "local"

    def __init__(self, settings: Settings, machines: Machines) -> None:
        super().__init__(settings, machines)
        self._device_s: dict[str, float] = {}

    @override
    def rows(
        self,
        plan: RunPlan,
        root: str,
        images: Iterable[ImageEntry],
        is_stopped: Callable[[], bool],
    ) -> Iterator[ImageMasks]:
        todo = iter(images)
        first = next(todo, None)
        if first is None:
            return  # no model is loaded for nothing
        champion = open_champion(self._settings)
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="image")
        working: deque[Future[ImageMasks]] = deque()
        try:
            processor = image_processor(champion, plan, root, self._settings)
            for image in chain([first], todo):
                if is_stopped():
                    break
                working.append(pool.submit(processor.process, image))
                if len(working) > _AT_ONCE:
                    yield working.popleft().result()
            while working:
                yield working.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
            self._device_s = champion.device.spent_s
            champion.close()

    @property
    @override
    def device_s(self) -> dict[str, float]:
        return self._device_s


def open_champion(settings: Settings) -> Champion:
    """The model that the settings choose; it keeps no embedding, for no image comes twice.

    Raises:
        ModelStoreError: There is no such model.
    """
    choice = ModelChoice(settings, open_store(settings))
    return serve_champion(settings, choice, MemoryEmbeddings(0))


def image_processor(
    champion: Champion, plan: RunPlan, root: str, settings: Settings
) -> ImageProcessor:
    """Processes images as the plan says, with a champion that nobody replaces.

    Raises:
        ModelStoreError: The model cannot be loaded.
        InvalidInputError: It is another model than the plan's.
    """
    with champion.lease() as model:
        model.segmenter()
    if model.model_version != plan.model_version:
        raise InvalidInputError(
            f"the run is made by {plan.model_version}, here is {model.model_version}"
        )
    max_pixels = settings.max_image_pixels
    return ImageProcessor(model, plan.settings, ImageReader(settings, root), max_pixels)
