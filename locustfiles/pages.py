"""Visitors look at WWMAA's pages: up to ten thousand of them, three in ten as members.

    locust --headless -f locustfiles/pages.py -u 50 -r 50 -t 30s                              # 30s
    locust --headless -f locustfiles/pages.py                                                 # 15m
    BROWSER_USERS=2 locust --headless -f locustfiles/pages.py -u 50 -r 50 -t 1m               # 1m; and two in Chromium

Without BASE_URL, API_URL or -H it starts its own sandbox and tests that. `pika-locust inspect pages` shows everything
else.
"""

import pika_locust
from pika_locust.platforms.wwmaa.page_visitor import PageBrowser, PageVisitor
from pika_locust.platforms.wwmaa.scenarios import PAGES

__all__ = ["PageBrowser", "PageVisitor"]

pika_locust.install(PAGES)
