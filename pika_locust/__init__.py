"""Load tests for realtime platforms on Locust, whose green runs are the truth.

Importing this package starts nothing, patches nothing and registers nothing. A locustfile says what it wants:

    import pika_locust
    from pika_locust.platforms.pika.scenarios import DANCERS

    pika_locust.install(DANCERS)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pika_locust.plugin import install

__version__ = "0.1.0"
__all__ = ["__version__", "install"]


def __getattr__(name: str) -> Any:
    # PEP 562: `pika_locust.judge` must stay importable without gevent, so the Locust side loads when it is asked for.
    if name == "install":
        from pika_locust.plugin import install

        return install
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
