"""The standard load: `locust -f locustfiles/dancers.py,shapes/standard.py`."""

from pika_locust.runtime.shape import StagesShape


class Standard(StagesShape):
    """The usual number of dancers."""

    profile = "standard"
    stages = "2m:100,8m:100,1m:0"
