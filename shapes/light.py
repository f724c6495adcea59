"""The light load: `locust -f locustfiles/inference.py,shapes/light.py`."""

from pika_locust.runtime.shape import StagesShape


class Light(StagesShape):
    """Few users at once, and to the end."""

    profile = "light"
    stages = "1m:10"
    start_users = 10
