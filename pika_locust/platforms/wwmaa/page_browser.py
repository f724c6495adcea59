"""Visitors of WWMAA's pages in real browsers."""

from __future__ import annotations

from pika_locust.kit.browser_users import BrowserUsers
from pika_locust.platforms.wwmaa.page_visitor import PAGES


class PageBrowser(BrowserUsers):
    """They look at the pages that anybody may see, as often as visitors do: of a dashboard, the target shows a page
    only to who sends a token with the request for it, which a browser does not."""

    pages = tuple((page.name, page.path, page.share) for page in PAGES if page.name != "dashboard")
