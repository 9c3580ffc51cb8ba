"""Which label a prefilled mask gets. A new classifier is one file and one line below."""

from collections.abc import Callable, Mapping
from pathlib import Path

from sam_backend.datasets.pixels import read_pixels
from sam_backend.datasets.types import Dataset, LabelledImage
from sam_backend.errors import InvalidInputError
from sam_backend.sam.device import Priority
from sam_backend.sam.types import Embedding
from sam_backend.semi_automatic.label_prediction import Classifier
from sam_backend.semi_automatic.nearest import LabelBook, Nearest, learn_book
from sam_backend.serving.served_model import ServedModel


def classifier_named(name: str, data_dir: Path, project_id: int) -> Classifier:
    """The classifier that a project has set.

    Raises:
        InvalidInputError: The name is unknown, or nobody has taught it the project's labels.
    """
    if name not in CLASSIFIERS:
        raise InvalidInputError(f"no classifier is named {name!r}; known: {', '.join(CLASSIFIERS)}")
    return CLASSIFIERS[name](data_dir, project_id)


def learn_labels(
    model: ServedModel,
    dataset: Dataset,
    data_dir: Path,
    project_id: int,
    observe: Callable[[int, int], None] = lambda done, of: None,
) -> LabelBook:
    """Teach `nearest` what a project's labelled masks look like, and keep it.

    Args:
        model: Whose embeddings count.
        dataset: Dataset of the project (`projects.dataset.pull_project`).
        data_dir: The settings' data folder.
        project_id: The project.
        observe: Told images done, of how many.

    Raises:
        InvalidInputError: No mask has a label.
        ImageDecodeError: An image's file is gone or damaged.
    """

    def encode(image: LabelledImage) -> Callable[[], Embedding]:
        return lambda: model.embedding_of(
            image.digest, lambda: read_pixels(image), Priority.BACKGROUND
        )

    examples = [
        (encode(image), [(one.rle, one.label) for one in image.masks if one.label is not None])
        for image in dataset
    ]
    book = learn_book([one for one in examples if one[1]], model.model_version, observe)
    book.save(_book(data_dir, project_id))
    return book


def _book(data_dir: Path, project_id: int) -> Path:
    return data_dir / "labels" / f"project-{project_id}.npz"


CLASSIFIERS: Mapping[str, Callable[[Path, int], Classifier]] = {
    "nearest": lambda data_dir, project_id: Nearest(LabelBook.load(_book(data_dir, project_id))),
}
