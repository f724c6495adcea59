"""Probes of the target's health page, and memory of a local target process."""

from __future__ import annotations

import ipaddress
import socket
import time
from dataclasses import dataclass
from typing import Any

import psutil
import requests


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """One probe: whether it was answered 2xx, its round trip, and whether a sandbox answered."""

    ok: bool
    latency_us: int
    sandbox: str | None


class HealthProbe:
    """Asks a health page; a connection is kept between probes."""

    def __init__(self, url: str, timeout_s: float = 5.0) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._session = requests.Session()
        self._session.trust_env = False

    def poll(self) -> HealthAnswer:
        """Probe once."""
        began_ns = time.monotonic_ns()
        try:
            answer = self._session.get(self._url, timeout=self._timeout_s)
        except requests.RequestException:
            return HealthAnswer(False, (time.monotonic_ns() - began_ns) // 1000, None)
        latency_us = (time.monotonic_ns() - began_ns) // 1000
        return HealthAnswer(answer.ok, latency_us, answer.headers.get("X-Pika-Sandbox"))


def fetch_json(
    url: str, timeout_s: float = 10.0, headers: dict[str, str] | None = None
) -> tuple[int | None, Any | None]:
    """Status and JSON document of a page: the status is None when nobody answers, the document when it is none."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.get(url, timeout=timeout_s, headers=headers)
        except requests.RequestException:
            return None, None
        try:
            return answer.status_code, answer.json() if answer.ok else None
        except ValueError:
            return answer.status_code, None


class ProcessMemory:
    """Resident memory of a process of this machine and of its children, in MB."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def poll(self) -> float | None:
        """Memory now; None when the process is gone or hidden from us."""
        try:
            processes = [self._process, *self._process.children(recursive=True)]
            return sum(float(process.memory_info().rss) for process in processes) / 1e6
        except psutil.Error:
            return None


def listening_pid(host: str, port: int) -> int | None:
    """The process of this machine that listens on the port; None when the host is another machine, or nobody says."""
    try:
        if not ipaddress.ip_address(socket.gethostbyname(host)).is_loopback:
            return None
        for connection in psutil.net_connections(kind="tcp"):
            address = connection.laddr
            if connection.status == psutil.CONN_LISTEN and address and address.port == port and connection.pid:
                return int(connection.pid)
    except (OSError, psutil.Error):
        return None
    return None
