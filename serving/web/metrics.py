"""What the server counts, as Prometheus reads it."""

from __future__ import annotations

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE: Final = "text/plain; version=0.0.4"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)


class Metrics:
    """Counters of one server; labels have a fixed number of values, whatever clients send.

    Attributes:
        requests: by route and status.
        seconds: from a request's headers to its answer, by route.
        refused: by the bound that was reached.
        listeners: streams that are listened to.
        connections: open.
        waiting: files that wait for a decoder.
        decoders_lost: processes that were ended or broke off.
        heard: words, by class.
    """

    def __init__(self) -> None:
        """Begin at zero."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they only double the text
        own, name = self.registry, "keyword_spotting"
        self.requests = Counter(f"{name}_requests", "Requests answered.", ("route", "status"), registry=own)
        self.seconds = Histogram(
            f"{name}_request_seconds", "Time to an answer.", ("route",), buckets=_SECONDS, registry=own
        )
        self.refused = Counter(f"{name}_refused", "Refusals by bound.", ("bound",), registry=own)
        self.listeners = Gauge(f"{name}_listeners", "Streams that are listened to.", registry=own)
        self.connections = Gauge(f"{name}_connections", "Open connections.", registry=own)
        self.waiting = Gauge(f"{name}_waiting_files", "Files that wait for a decoder.", registry=own)
        self.decoders_lost = Gauge(f"{name}_decoders_lost", "Decoders that were ended or broke off.", registry=own)
        self.heard = Counter(f"{name}_heard", "Words heard in streams.", ("word",), registry=own)

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self.registry)
