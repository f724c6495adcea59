"""The big load: `locust -f locustfiles/dancers.py,shapes/big.py`."""

from pika_locust.runtime.shape import StagesShape


class Big(StagesShape):
    """The most dancers that are expected."""

    profile = "big"
    stages = "5m:300,15m:300,2m:0"
