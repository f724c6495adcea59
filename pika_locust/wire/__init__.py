"""Bytes on sockets, on gevent and without Locust: what was sent, what came back, and when it was seen."""
