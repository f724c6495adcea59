"""The stress load: `locust -f locustfiles/dancers.py,shapes/stress.py`."""

from pika_locust.runtime.shape import StagesShape


class Stress(StagesShape):
    """More dancers than the server was built for."""

    profile = "stress"
    stages = "5m:500,10m:500,2m:0"
