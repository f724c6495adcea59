"""The heavy load: `locust -f locustfiles/inference.py,shapes/heavy.py`."""

from pika_locust.runtime.shape import StagesShape


class Heavy(StagesShape):
    """Many users at once, and to the end."""

    profile = "heavy"
    stages = "10m:100"
    start_users = 100
