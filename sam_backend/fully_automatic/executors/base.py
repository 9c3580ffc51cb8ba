"""What every executor does: images in, their masks out, in any order."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from sam_backend.fully_automatic.manifest import ImageEntry
from sam_backend.fully_automatic.run_folder import RunPlan
from sam_backend.settings import Settings
from sam_backend.store.shards import ImageMasks


@dataclass(frozen=True, slots=True)
class Machines:
    """Where an executor may run.

    Attributes:
        address: Address of a cluster; None: this machine.
        actors: Processes that each hold a model.
        gpus: Number of GPUs of each of them.
        cpus: Number of CPUs of each of them.
    """

    address: str | None = None
    actors: int = 1
    gpus: float = 0.0
    cpus: float = 1.0


class Executor(ABC):
    """Looks at images somewhere."""

    name: ClassVar[str]
    """In options."""

    def __init__(self, settings: Settings, machines: Machines) -> None:
        self._settings = settings
        self._machines = machines

    @abstractmethod
    def rows(
        self,
        plan: RunPlan,
        root: str,
        images: Iterable[ImageEntry],
        is_stopped: Callable[[], bool],
    ) -> Iterator[ImageMasks]:
        """The masks of images, as they are found.

        Args:
            plan: Plan of the run.
            root: Root of the run's listing.
            images: What to look at.
            is_stopped: True once it should end after the images in hand.

        Raises:
            SamBackendError: Images or model are out of reach.
        """

    @property
    def device_s(self) -> dict[str, float]:
        """Seconds that devices worked, by stage; empty where that is not known."""
        return {}
