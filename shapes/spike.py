"""The spike load: `locust -f locustfiles/dancers.py,shapes/spike.py`."""

from pika_locust.runtime.shape import StagesShape


class Spike(StagesShape):
    """Everybody comes through the door at once."""

    profile = "spike"
    stages = "1m:100,30s:100,1m:0"
