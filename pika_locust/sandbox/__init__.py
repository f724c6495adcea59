"""The sandbox: test targets on one loopback port, in a process of its own.

A world is a pure state machine in its platform's folder (`world.World` is the seam); this package gives it sockets, a
clock, faults, and the endpoints below `/__sandbox/` that audits and tests read.
"""

from __future__ import annotations

from pika_locust.sandbox.process import SandboxProcess, start_sandbox

__all__ = ["SandboxProcess", "start_sandbox"]
