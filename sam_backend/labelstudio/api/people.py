"""Who the annotators are."""

from dataclasses import dataclass
from datetime import datetime

from sam_backend.errors import LabelStudioError
from sam_backend.labelstudio.api.client import LabelStudioClient, objects
from sam_backend.labelstudio.api.timestamps import moment


@dataclass(frozen=True, slots=True)
class User:
    """A person with an account.

    Attributes:
        number: User id, as a text.
        email: The address, or the number where there is none.
        seen_at: When the person last saved something in the page, or got the account; reading
            does not count. None: not told.
    """

    number: str
    email: str
    seen_at: datetime | None


def users(client: LabelStudioClient) -> list[User]:
    """GET /api/users/: everybody who has an account.

    Raises:
        LabelStudioError: The call fails.
    """
    answer = client.sdk(lambda sdk: sdk.users.with_raw_response.list())
    return [
        User(
            str(one.get("id")),
            str(one.get("email") or one.get("id")),
            moment(one.get("last_activity")),
        )
        for one in objects(answer, "GET /api/users/")
    ]


def own_number(client: LabelStudioClient) -> str:
    """GET /api/current-user/whoami: user id of whose token we have.

    Raises:
        LabelStudioError: The call fails.
    """
    answer = client.sdk(lambda sdk: sdk.users.with_raw_response.whoami())
    if not isinstance(answer, dict):
        raise LabelStudioError("GET /api/current-user/whoami answers no object")
    return str(answer.get("id"))


def people_names(client: LabelStudioClient) -> dict[str, str]:
    """What people are called, by user id: their email address.

    Raises:
        LabelStudioError: The call fails.
    """
    return {user.number: user.email for user in users(client)}
