"""What the server counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)


class Metrics:
    """Of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.images = self._counter("images", "Images answered, by status.", "status")
        self.requests = self._counter("requests", "Requests to classify, by HTTP status.", "code")
        self.seconds = Histogram(
            "mnist_pipeline_request_seconds",
            "Time of a request to classify, reading included.",
            buckets=BUCKETS,
            registry=self._registry,
        )
        self.in_flight = self._gauge("in_flight", "Requests to classify that are being answered.")
        self.workers_replaced = self._gauge("workers_replaced", "Worker processes that died or hung.")
        self.model = self._gauge("model", "1 for the model that answers.", "name", "version")

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"mnist_pipeline_{name}", what, labels, registry=self._registry)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"mnist_pipeline_{name}", what, labels, registry=self._registry)

    def render(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self._registry)
