"""The messages between master and workers. In a local run the same ones are handed over within the process.

To workers: BEGIN a test, DRAIN the users of a role, HEAR a piece of news, TELL_TIME (what the clocks say). To the
master: HELLO (a worker is ready for tests), REPORT (cumulative: the newest of a worker replaces its earlier ones, so a
lost one loses nothing), DRAINED, TELL (news for all), ASK_TIME.
"""

from __future__ import annotations

BEGIN = "pika_locust_begin"
DRAIN = "pika_locust_drain"
HEAR = "pika_locust_hear"
TELL_TIME = "pika_locust_tell_time"
HELLO = "pika_locust_hello"
REPORT = "pika_locust_report"
DRAINED = "pika_locust_drained"
TELL = "pika_locust_tell"
ASK_TIME = "pika_locust_ask_time"

REPORT_EVERY_S = 2.0
