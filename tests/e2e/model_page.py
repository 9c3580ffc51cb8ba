"""Label Studio's Settings → Model page as an administrator uses it."""

from playwright.sync_api import Page

MENU = '[aria-label="Machine learning model options"]'
START = "Start Training"


class ModelPage:
    """The page of a project's models.

    Args:
        page: Logged in.
        url: Origin of Label Studio.
        project: Its number.
    """

    def __init__(self, page: Page, url: str, project: int) -> None:
        self._page = page
        page.goto(f"{url}/projects/{project}/settings/ml")
        page.wait_for_selector(MENU)

    def start_training(self) -> None:
        """Choose it in the model's menu and confirm; returns once Label Studio has passed it on."""
        self._page.click(MENU)
        self._page.get_by_text(START, exact=True).click()
        self._page.get_by_role("button", name=START).click()
        self._page.get_by_text("Request Sent!").wait_for()
