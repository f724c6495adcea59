"""The medium load: `locust -f locustfiles/inference.py,shapes/medium.py`."""

from pika_locust.runtime.shape import StagesShape


class Medium(StagesShape):
    """Some users at once, and to the end."""

    profile = "medium"
    stages = "5m:50"
    start_users = 50
