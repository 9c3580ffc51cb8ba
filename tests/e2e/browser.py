"""Label Studio's labelling page as an annotator uses it, driven in headless Chromium.

Selectors are those seen on Label Studio 1.23.2; positions are pixels of the original image.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
VIEWPORT = {"width": 1500, "height": 1400}  # tall: choosing a label never scrolls the page

TOGGLE_AUTO = "[data-testid=bottombar-auto-annotation-toggle]"
ACCEPT = "[data-testid=bottombar-accept-suggestions-button]"
REJECT = "[data-testid=bottombar-reject-suggestions-button]"
SMART_MENU = "button.lsf-tool_smart:not([aria-label])"
SETTINGS = '[aria-label="Settings"]'
SUBMIT = '[aria-label="Submit current annotation"]'
TURN_RIGHT = 'button[aria-label="rotate-right"]'

IMAGE_PLACE = """() => {
    // The page may open zoomed a little: its width shrinks once the toolbar is there.
    const image = Htx.annotationStore.selected.objects.find(o => o.type === 'image');
    const frame = document.querySelector('.konvajs-content').getBoundingClientRect();
    return {left: frame.left + image.zoomingPositionX, top: frame.top + image.zoomingPositionY,
            scale: image.stageWidth * image.zoomScale / image.naturalWidth,
            turn: image.rotation, width: image.naturalWidth, height: image.naturalHeight};
}"""


@contextmanager
def chromium(executable: Path) -> Iterator[Browser]:
    """The system's Chromium, headless; nothing is downloaded."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, headless=True, args=CHROMIUM_FLAGS
        )
        try:
            yield browser
        finally:
            browser.close()


class LabellingPage:
    """One annotator's page; a fresh browser context, so nothing is left in localStorage.

    Args:
        browser: Chromium.
        url: Origin of Label Studio.
        timeout_s: Longest wait for anything on the page.
    """

    def __init__(self, browser: Browser, url: str, timeout_s: float = 30.0) -> None:
        self.url = url
        self.context = browser.new_context(viewport=VIEWPORT)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(timeout_s * 1000)
        self.last_answer: dict[str, Any] = {}

    def close(self) -> None:
        """Close the page and forget its cookies and storage."""
        self.context.close()

    def login(self, email: str, password: str) -> None:
        """Log in through the form."""
        self.page.goto(f"{self.url}/user/login")
        self.page.fill("input[name=email]", email)
        self.page.fill("input[name=password]", password)
        self.page.click("button[type=submit]")
        self.page.wait_for_url(lambda url: "/user/login" not in url)

    def open_task(self, project: int, task: int) -> None:
        """Open a task in the data manager's labelling view and wait until its image is drawn."""
        self.page.goto(f"{self.url}/projects/{project}/data?task={task}")
        self.page.wait_for_selector(".konvajs-content canvas")
        self.page.wait_for_function(
            "() => Htx.annotationStore.selected?.objects.some(o => o.naturalWidth > 1)"
        )
        self.page.wait_for_timeout(1500)  # the editor lays itself out once more

    def turn_on_auto_annotation(self) -> None:
        """Switch the bottom bar's Auto-Annotation on, which brings the smart tools.

        Label Studio keeps the switch in localStorage, so a later task may open with it on.
        """
        if not self.page.evaluate("() => Htx.autoAnnotation"):
            self.page.click(TOGGLE_AUTO, force=True)
        self.page.wait_for_selector(SMART_MENU)

    def use_clicks(self) -> None:
        """Take the smart key point tool."""
        self._choose_smart_tool("key-point-tool")

    def use_boxes(self) -> None:
        """Take the smart rectangle tool."""
        self._choose_smart_tool("rectangle-tool")

    def open_smart_tools(self) -> None:
        """Hover the toolbar's button of the smart tools, which shows all of them."""
        self.page.hover(SMART_MENU)
        self.page.wait_for_timeout(500)

    def open_settings(self) -> None:
        """Open the editor's settings, from the button beside Undo and Redo."""
        self.page.click(SETTINGS)
        self.page.wait_for_selector("text=Keep label selected after creating a region")
        self.page.wait_for_timeout(500)

    def _choose_smart_tool(self, name: str) -> None:
        self.page.hover(SMART_MENU)
        self.page.click(f'button.lsf-tool_smart[aria-label="{name}"]')

    def choose_label(self, control: str, label: str) -> None:
        """Choose a label of a control tag by their names; needed before every prompt."""
        controls = self.page.evaluate(
            "() => [...Htx.annotationStore.selected.names.values()]"
            ".filter(t => t.isControlTag && t.children?.some(c => c.type === 'label'))"
            ".map(t => ({name: t.name, labels: t.children.map(c => c._value)}))"
        )
        names = [control["name"] for control in controls]
        group = names.index(control)
        position = controls[group]["labels"].index(label)
        self.page.locator(".lsf-labels").nth(group).locator(".lsf-label").nth(position).click()

    def click(
        self, x: float, y: float, is_positive: bool = True, in_region: bool = False
    ) -> list[dict[str, Any]]:
        """Click at a pixel of the image; return the suggestions.

        A negative click holds Alt. One inside a region, such as a pending box, holds Control, or
        the page would choose the region and send nothing.
        """
        at = self.on_screen(x, y)
        held = [
            key for key, is_held in (("Alt", not is_positive), ("Control", in_region)) if is_held
        ]
        with self._prompt():
            for key in held:
                self.page.keyboard.down(key)
            self.page.mouse.click(*at)
            for key in held:
                self.page.keyboard.up(key)
        return self.suggestions()

    @contextmanager
    def draft_saved(self) -> Iterator[None]:
        """Wait until what is done inside is in the person's draft (some five seconds)."""
        with self.page.expect_response(
            lambda answer: "/drafts" in answer.url and answer.request.method in {"POST", "PATCH"}
        ):
            yield

    def drag(self, x0: float, y0: float, x1: float, y1: float) -> list[dict[str, Any]]:
        """Drag a box between two pixels of the image; return the suggestions."""
        start, middle, end = (
            self.on_screen(x, y) for x, y in [(x0, y0), ((x0 + x1) / 2, (y0 + y1) / 2), (x1, y1)]
        )
        with self._prompt():
            self.page.mouse.move(*start)
            self.page.mouse.down()
            self.page.mouse.move(*middle, steps=5)
            self.page.mouse.move(*end, steps=5)
            self.page.mouse.up()
        return self.suggestions()

    def on_screen(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the image is on the page."""
        place = self.page.evaluate(IMAGE_PLACE)
        width, height = place["width"], place["height"]
        x, y = {
            0: (x, y),
            90: (height - y, x),
            180: (width - x, height - y),
            270: (y, width - x),
        }[place["turn"]]
        return place["left"] + x * place["scale"], place["top"] + y * place["scale"]

    def colour_at(self, x: float, y: float) -> tuple[int, ...]:
        """What the page shows where a pixel of the image should be: red, green, blue."""
        across, down = self.on_screen(x, y)
        spot = {"x": round(across), "y": round(down), "width": 1, "height": 1}
        shown = Image.open(io.BytesIO(self.page.screenshot(clip=spot))).convert("RGB")
        return tuple(int(part) for part in np.asarray(shown)[0, 0])

    def turn_right(self) -> None:
        """Turn the picture by 90 degrees with the editor's button, which `rotateControl` brings."""
        self.page.click(TURN_RIGHT)
        self.page.wait_for_timeout(800)

    def draw(self, tool: str | None, label: tuple[str, str], *points: tuple[float, float]) -> None:
        """Draw a region by hand.

        Args:
            tool: The name of a button of the toolbar; `polygon-tool` clicks the points and closes
                the ring, any other drags from the first point to the last. None: the tool that
                choosing the label takes; a rectangle that is not smart has no button.
            label: Control tag and label.
            points: Pixels of the image.
        """
        self.page.evaluate("() => Htx.annotationStore.selected.unselectAll()")
        self.choose_label(*label)
        if tool is not None:
            self.page.click(f'button[aria-label="{tool}"]:not(.lsf-tool_smart)')
        places = [self.on_screen(*point) for point in points]
        if tool == "polygon-tool":
            for place in (*places, places[0]):
                self.page.mouse.click(*place)
                self.page.wait_for_timeout(300)
        else:
            self.page.mouse.move(*places[0])
            self.page.mouse.down()
            for place in places[1:]:
                self.page.mouse.move(*place, steps=8)
            self.page.mouse.up()
        self.page.wait_for_timeout(500)

    @contextmanager
    def _prompt(self) -> Iterator[None]:
        """Wait until the backend has answered what is done inside and the page has taken it in."""
        with self.page.expect_response(
            lambda answer: "/interactive-annotating" in answer.url
        ) as answer:
            yield
        self.last_answer = answer.value.json()
        self.page.wait_for_function("() => !Htx.awaitingSuggestions")

    def suggestions(self) -> list[dict[str, Any]]:
        """The suggestions on the page as result items."""
        return self.page.evaluate(
            "() => JSON.parse(JSON.stringify("
            "[...Htx.annotationStore.selected.suggestions.values()]"
            ".flatMap(region => region.results.map(result => result.serialize()))))"
        )

    def regions(self) -> list[dict[str, Any]]:
        """What would be submitted: the annotation's result items."""
        return self.page.evaluate(
            "() => JSON.parse(JSON.stringify(Htx.annotationStore.selected.serializeAnnotation()))"
        )

    def start_from_prediction(self) -> None:
        """Make an annotation of the task's prediction, unless the page has begun with one."""
        is_prediction = "() => Htx.annotationStore.selected?.type === 'prediction'"
        if self.page.evaluate(is_prediction):
            self.page.evaluate(
                "() => { const store = Htx.annotationStore;"
                " const made = store.addAnnotationFromPrediction(store.selected);"
                " store.selectAnnotation(made.id); }"
            )
            self.page.wait_for_function("() => Htx.annotationStore.selected.type === 'annotation'")
        self.page.wait_for_timeout(1500)

    def delete_region(self, region_id: str) -> None:
        """Choose a region and press Backspace, as a person does."""
        self._choose_region(region_id)
        self.page.keyboard.press("Backspace")
        self.page.wait_for_function(
            "id => !Htx.annotationStore.selected.serializeAnnotation().some(r => r.id === id)",
            arg=region_id,
        )

    def paint(
        self,
        region_id: str | None,
        through: list[tuple[float, float]],
        label: tuple[str, str] | None = None,
    ) -> None:
        """One stroke of the brush through pixels of the image: on a region, or a new one."""
        if region_id is not None:
            self._choose_region(region_id)
        else:
            self.page.keyboard.press("Escape")
        if label is not None:
            self.choose_label(*label)
        self.page.click('button[aria-label="brush"], button[aria-label="brush-tool"]')
        first, *rest = (self.on_screen(x, y) for x, y in through)
        self.page.mouse.move(*first)
        self.page.mouse.down()
        for point in rest:
            self.page.mouse.move(*point, steps=8)
        self.page.mouse.up()
        self.page.wait_for_timeout(800)

    def _choose_region(self, region_id: str) -> None:
        self.page.evaluate(
            "id => { const store = Htx.annotationStore.selected;"
            " const region = store.regions.find(r => r.cleanId === id);"
            " store.unselectAll(); store.selectArea(region); }",
            region_id,
        )

    def accept(self) -> None:
        """Accept all suggestions."""
        self.page.click(ACCEPT)

    def reject(self) -> None:
        """Reject all suggestions."""
        self.page.click(REJECT)

    def submit(self) -> None:
        """Submit the annotation and wait until the server has it."""
        with self.page.expect_response(
            lambda answer: "/annotations" in answer.url and answer.request.method == "POST"
        ) as answer:
            self.page.click(SUBMIT)
        assert answer.value.ok, f"submit answered {answer.value.status}"

    def screenshot(self, path: Path) -> None:
        """Keep a picture of the page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)
