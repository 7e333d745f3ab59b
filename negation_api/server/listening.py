"""Which addresses to listen on."""

import ipaddress
import socket

ALL, ALL_IPV4 = "::", "0.0.0.0"  # nosec B104


def addresses(host: str, port: int) -> list[str]:
    """Give what Gunicorn is to bind, so that ``::`` is IPv4 too wherever that runs.

    >>> addresses("127.0.0.1", 8000)
    ['127.0.0.1:8000']
    >>> addresses("0:0::1", 8000)
    ['[::1]:8000']
    """
    host = str(ipaddress.ip_address(host))  # one spelling of each
    hosts = [host]
    if host == ALL and not socket.has_dualstack_ipv6():
        hosts = [ALL_IPV4]
    elif host == ALL and _is_ipv6_alone():
        hosts = [ALL, ALL_IPV4]
    return [f"[{each}]:{port}" if ":" in each else f"{each}:{port}" for each in hosts]


def _is_ipv6_alone() -> bool:
    """Tell whether a listener on ``::`` leaves IPv4 out (``bindv6only``)."""
    with socket.socket(socket.AF_INET6) as any_socket:
        return bool(any_socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
