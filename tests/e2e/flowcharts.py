"""Open flowcharts of Kedro-Viz in a browser and read what they show."""

from playwright.sync_api import BrowserContext, ConsoleMessage, Page

from support import GUARD_S

# The tour and the side bar would cover the chart that the tests look at and click on.
VIEW = {
    "showFeatureHints": False,
    "theme": "light",
    "visible": {"graph": True, "miniMap": False, "sidebar": False, "slicing": False},
}
ELSEWHERE = "docs.example.org"
"""A name that the browser resolves to this machine."""
SIZE = (1600, 1000)
"""Width and height of a window."""
UNFOLDED = "&expandAllPipelines=true"
"""End of the URL of a page that shows all nodes instead of boxes."""


def open_flowchart(context: BrowserContext, url: str) -> Page:
    """Open the page of a pipeline and wait until its flowchart is drawn."""
    context.set_default_timeout(1000 * GUARD_S)
    page = context.new_page()
    page.goto(url)
    page.locator(".pipeline-node__text").first.wait_for()
    settle(page)
    return page


def settle(page: Page) -> None:
    """Wait until the transitions of D3 have ended."""
    page.wait_for_function(
        "[...document.querySelectorAll('.pipeline-flowchart *')].every(e => !e.__transition)"
    )


def complaint(message: ConsoleMessage) -> list[str]:
    """Return the text of a console message, if it is an error or a warning."""
    return [message.text] if message.type in {"error", "warning"} else []


def hidden_names(page: Page) -> list[str]:
    """Return the names in the flowchart that are not completely visible."""
    names: list[str] = page.evaluate(
        """() => {
            const left = document.querySelector('.pipeline-global-toolbar')
                .getBoundingClientRect().right;
            const names = [...document.querySelectorAll('.pipeline-node__text')];
            return names.filter(name => {
                const box = name.getBoundingClientRect();
                return !box.width || box.left < left || box.top < 0
                    || box.right > innerWidth || box.bottom > innerHeight;
            }).map(name => name.textContent);
        }"""
    )
    return names
