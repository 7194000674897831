"""Which names the server answers to, and which pages may speak to it: other sites in the same browser may not."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def is_own_host(host: str, allowed: Sequence[str], any_address: bool) -> bool:
    """Whether a Host header names this server; a foreign name that leads here is how other sites reach in.

    Args:
        host: the header, a name or address with or without a port.
        allowed: names besides those of this machine.
        any_address: whether any address counts, where the server listens on all.
    """
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    if not name:
        return False
    return name in LOCAL or name in allowed or (any_address and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_own_origin(origin: str | None, host: str) -> bool:
    """Whether a request comes from a page of this server, or from a program, which sends no Origin.

    Args:
        origin: the Origin header, or None.
        host: the Host header, checked before.
    """
    return origin is None or origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")
