"""The target's own process, where it runs on this machine and may be looked at."""

from __future__ import annotations

import ipaddress
import socket

import psutil


class ProcessMemory:
    """Resident memory of a process and of its children, in MB."""

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
