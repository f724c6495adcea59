"""Which addresses of this machine the users of a test send from.

A server that limits requests by address sees a load test as one visitor. On loopback every address of 127.0.0.0/8 is
this machine's, so each user can have its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


class SourceAddresses:
    """A pool of source addresses, from which user number n always gets the same one.

    Spelled like k6's `--local-ips`: addresses, ranges `first-last` and networks `127.0.8.0/22`, separated by commas.
    Of an IPv4 network the first and the last address are left out, as they are nobody's. Nothing is kept per address.

    Raises ValueError for what is none of these.
    """

    __slots__ = ("_spans", "size", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._spans = [_span(part.strip()) for part in text.split(",")]
        self.size = sum(count for _, count in self._spans)
        """How many addresses there are; of an IPv6 network more than `len` could say."""

    def __getitem__(self, index: int) -> str:
        """The address of user `index`; the pool starts again from the front when it is used up."""
        index %= self.size
        for first, count in self._spans:
            if index < count:
                return str(first + index)
            index -= count
        raise AssertionError("an index below the sum of all spans lies in one of them")

    def __iter__(self) -> Iterator[str]:
        """Every address once."""
        return (self[index] for index in range(self.size))

    def __repr__(self) -> str:
        return f"SourceAddresses({self.text!r})"


def _span(part: str) -> tuple[IPv4Address | IPv6Address, int]:
    """First address and number of addresses."""
    try:
        if "/" in part:
            network = ip_network(part, strict=False)
            if network.version == 4 and network.num_addresses > 2:
                return network.network_address + 1, network.num_addresses - 2
            return network.network_address, network.num_addresses
        low, _, high = part.partition("-")
        first, last = ip_address(low.strip()), ip_address(high.strip() or low.strip())
    except ValueError as error:
        raise ValueError(
            f"source addresses {part!r}: {error}; "
            "write an address, a range (127.0.8.1-127.0.8.9) or a network (127.0.8.0/22)"
        ) from None
    if first.version != last.version or int(first) > int(last):
        raise ValueError(f"source addresses {part!r}: a range goes from a lower to a higher address of the same kind")
    return first, int(last) - int(first) + 1
