"""For programs that watch: is the console alive, is the node ready, and the numbers."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from scp.console import visitors
from scp.console.metrics import NodeCollector
from scp.console.pages.overview import Watch
from scp.console.visitors import Role


async def alive(_request: Request) -> Response:
    """Say that this process answers; nothing else is asked."""
    return JSONResponse({"status": "alive"})


def ready(request: Request) -> Response:
    """Say whether images are received and analysed now, and if not, why."""
    watch: Watch = request.app.state.watch
    health = watch.overview().health
    obstacles = []
    if request.app.state.services.settings.node.role == "console":
        pass  # it shows how the other processes are, also where they are not: they have probes of their own
    elif not health.node.running:
        obstacles.append("the node is not running")
    elif health.node.worker_pid is None:
        obstacles.append("the worker is loading its network")
    if not health.disk.accepting:
        obstacles.append("the disk is full: images are refused")
    if health.disk.bucket_fault is not None:
        obstacles.append("the bucket cannot be used: images are refused")
    return JSONResponse(
        {"status": "not ready" if obstacles else "ready", "obstacles": obstacles},
        status_code=503 if obstacles else 200,
    )


def metrics(request: Request) -> Response:
    """Return the metrics in the text format of Prometheus."""
    visitors.require(request, Role.VIEWER)
    registry: CollectorRegistry = request.app.state.registry
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def registry_of(collector: NodeCollector) -> CollectorRegistry:
    """Return a registry with the metrics of the node alone."""
    registry = CollectorRegistry()
    registry.register(collector)
    return registry
