"""Who the annotators are."""

from sam_backend.errors import LabelStudioError
from sam_backend.labelstudio.client import LabelStudioClient


def people_names(client: LabelStudioClient) -> dict[str, str]:
    """GET /api/users/: what people are called, by user id: their email address.

    Raises:
        LabelStudioError: The call fails.
    """
    path = "/api/users/"
    answer = client.answer("GET", path)
    if not isinstance(answer, list) or not all(isinstance(one, dict) for one in answer):
        raise LabelStudioError(f"GET {path} answers no list of objects")
    return {str(one.get("id")): str(one.get("email") or one.get("id")) for one in answer}
