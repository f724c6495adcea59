"""The spike load: `locust -f locustfiles/dancers.py,shapes/spike.py`."""

from pika_locust.runtime.shape import StagesShape


class Spike(StagesShape):
    """All dancers join within a minute, and leave soon."""

    profile = "spike"
    stages = "1m:100,30s:100,1m:0"
