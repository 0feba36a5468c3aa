"""The Ray cluster that this process is connected to, and what its nodes have."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from ia2_eval.errors import UserError

REACHABLE_SECONDS = 5.0
"""That an address has to answer; Ray itself would try for minutes."""


@dataclass(frozen=True)
class Node:
    gpus: int
    cpus: int


def nodes(address: str | None) -> list[Node]:
    """What the nodes of the cluster have, whether or not it is in use."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as newer versions do, without a warning
    try:
        import ray
    except ModuleNotFoundError as error:
        raise UserError("--engine ray needs the package ray: pip install 'ia2-eval[ray]'") from error

    if address is not None:
        _require_reachable(os.environ.get("RAY_ADDRESS", address) if address == "auto" else address)
    if not ray.is_initialized():
        # Workers write to the store and give their news as results: the store of objects and the logs stay small.
        own = {"include_dashboard": False, "object_store_memory": 100 * 2**20} if address is None else {}
        try:
            ray.init(address or "local", log_to_driver=False, logging_level="ERROR", **own)
        except Exception as error:  # Ray raises bare ones, too
            where = f"use the Ray cluster at --ray-address {address!r}" if address else "start Ray on this machine"
            raise UserError(f"cannot {where}: {str(error).strip()} Try again if the machine is busy.") from error
    return [
        Node(int(node["Resources"].get("GPU", 0)), int(node["Resources"].get("CPU", 0)))
        for node in ray.nodes()
        if node["Alive"]
    ]


def _require_reachable(address: str) -> None:
    """
    Raises:
        UserError: nothing answers at HOST:PORT, or the address is of another form.
    """
    if address == "auto":
        return  # Ray looks for a cluster of this machine, and says at once if there is none
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise UserError(f"--ray-address is {address!r}: give HOST:PORT of the head node, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACHABLE_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"nothing answers at --ray-address {address!r} ({error}): `ray status` on the head node tells its address"
        ) from error
