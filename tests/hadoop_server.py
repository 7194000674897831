"""Hadoop's file system on this machine: a name node and a data node, as processes with a folder of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import fsspec

from benchmarks.flink_cluster import free_port

_NAME_NODE: Final = "org.apache.hadoop.hdfs.server.namenode.NameNode"
_DATA_NODE: Final = "org.apache.hadoop.hdfs.server.datanode.DataNode"
_START_SECONDS: Final = 120.0


@contextlib.contextmanager
def running(jars: Sequence[Path], folder: Path) -> Iterator[str]:
    """Serve in the block.

    Args:
        jars: of Hadoop.
        folder: an empty one, for configuration, logs and data.

    Yields:
        The address, such as "hdfs://localhost:41234".
    """
    port = free_port()
    address = f"hdfs://localhost:{port}"
    _write(folder / "core-site.xml", {"fs.defaultFS": address, "hadoop.tmp.dir": str(folder / "tmp")})
    _write(
        folder / "hdfs-site.xml",
        {
            "dfs.replication": "1",
            "dfs.namenode.http-address": f"localhost:{free_port()}",
            "dfs.datanode.address": f"localhost:{free_port()}",
            "dfs.datanode.http.address": f"localhost:{free_port()}",
            "dfs.datanode.ipc.address": f"localhost:{free_port()}",
        },
    )
    java = ["java", "-Xmx256m", "-cp", os.pathsep.join([str(folder), *map(str, jars)])]
    with (folder / "log").open("wb") as log, contextlib.ExitStack() as stack:
        subprocess.run([*java, _NAME_NODE, "-format", "-nonInteractive"], stdout=log, stderr=log, check=True)
        for node in (_NAME_NODE, _DATA_NODE):
            process = stack.enter_context(subprocess.Popen([*java, node], stdout=log, stderr=log))
            stack.callback(process.kill)
        _wait(port, folder / "log")
        yield address


def _write(path: Path, settings: dict[str, str]) -> None:
    properties = "".join(
        f"<property><name>{key}</name><value>{value}</value></property>" for key, value in settings.items()
    )
    path.write_text(f"<configuration>{properties}</configuration>")


def _wait(port: int, log: Path) -> None:
    """Until a file can be written."""
    give_up = time.monotonic() + _START_SECONDS
    while True:
        try:
            fsspec.filesystem("hdfs", host="localhost", port=port).pipe_file("/_is_there", b"")
            return
        except OSError:
            assert time.monotonic() < give_up, log.read_text()[-2000:]
            time.sleep(1)
