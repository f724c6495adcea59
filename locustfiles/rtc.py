"""People in a training session: fifty of them, who join, chat, look how video is, and leave.

    CHAT_EVERY=2 SESSION_LENGTH=20s locust --headless -f locustfiles/rtc.py -u 20 -r 20 -t 25s  # 25s
    locust --headless -f locustfiles/rtc.py                                                   # 12m

Without API_URL (or -H) it starts its own sandbox and tests that. `pika-locust inspect rtc` shows everything else.
"""

import pika_locust
from pika_locust.platforms.wwmaa.participant import Participant
from pika_locust.platforms.wwmaa.scenarios import RTC

__all__ = ["Participant"]

pika_locust.install(RTC)
