"""People search WWMAA's site: a thousand searches a minute for five minutes.

    SEARCH_RATE=300 TEST_DURATION=30s locust --headless -f locustfiles/search.py              # 30s
    locust --headless -f locustfiles/search.py                                                # 5m
    SEARCH_RATE=0 SCENARIO=suite locust --headless -f locustfiles/search.py                   # 9m

Without API_URL (or -H) it starts its own sandbox and tests that. `pika-locust inspect search` shows everything else.
"""

import pika_locust
from pika_locust.platforms.wwmaa.scenarios import SEARCH
from pika_locust.platforms.wwmaa.searcher import Searcher

__all__ = ["Searcher"]

pika_locust.install(SEARCH)
