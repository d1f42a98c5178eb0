"""A bucket on loopback whose full-size HDF5 beta files are made as they are asked for, from one layout: none on disk.

    python benchmarks/virtual_bucket.py FOLDER KEY [KEY ...] [--volumes N] [--latency S] [--rate BYTES]

Chunk i of session s is row i mod 4096 of one block of numbers, turned by s volumes, so that the means of all sessions
are those of one map. Other files are those of FOLDER; `packed` stands for a packed file of subj01's size. What was
asked for and sent is printed, a line for each line that is read.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import bucket as loopback  # pyright: ignore[reportMissingImports] (of the tests)
from nsd_imagery.experiment import GRIDS
from nsd_imagery.volumes.layout.header import NODE_BYTES
from nsd_imagery.volumes.layout.predict import Prediction

ROOT = 1400
ROWS = 4096
PACKED, PACKED_BYTES = "packed", 470_400_000


def numbers(n_volumes: int) -> NDArray[np.int16]:
    """(4096, n_volumes) as betas of the release are spread: mean 0.68, sd 1.9 percent signal change, x 300."""
    return np.random.default_rng(0).normal(204, 570, (ROWS, n_volumes)).astype("<i2")


def means(n_volumes: int) -> NDArray[np.float32]:
    """(x, y, z) the map of means."""
    x, y, z = GRIDS["subj01"]
    of_row = numbers(n_volumes).mean(axis=1)
    return of_row[np.arange(x * y * z) % ROWS].reshape(z, y, x).T.astype(np.float32)


class Layout:
    """A full-size file of subj01, filled in the order of its keys."""

    def __init__(self, n_volumes: int) -> None:
        x, y, z = GRIDS["subj01"]
        self.shape = n_volumes, z, y, x
        self.chunk = 2 * n_volumes
        self.prediction = Prediction(ROOT, x * y * z, self.chunk)
        self.size = self.prediction.end
        self.block = numbers(n_volumes)
        self.nodes: dict[int, tuple[int, int]] = {}
        for level, count in enumerate(self.prediction.n_nodes):
            for number, at in enumerate(self.prediction.nodes(level, np.arange(count)).tolist()):
                self.nodes[at] = level, number
        self.node_places = np.array(sorted(self.nodes))
        self.chunks = self.prediction.chunks(np.arange(self.prediction.n_chunks))

    @cached_property
    def header(self) -> bytes:
        """As HDF5 writes it, but for the size of the file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "one.hdf5"
            with h5py.File(path, "w") as file:
                betas = file.create_dataset(
                    "betas", self.shape, "<i2", chunks=(self.shape[0], 1, 1, 1), track_times=False
                )
                betas.id.write_direct_chunk((0, 0, 0, 0), self.block[0])
            data = bytearray(path.read_bytes()[:ROOT])
        data[40:48] = self.size.to_bytes(8, "little")
        return bytes(data)

    @lru_cache(maxsize=2)  # noqa: B019
    def turned(self, session: int) -> bytes:
        """The block of a session, twice, so that any run of chunks is one piece of it."""
        return np.roll(self.block, session, axis=1).tobytes() * 2

    @lru_cache(maxsize=20_000)  # noqa: B019
    def node(self, at: int) -> bytes:
        expected = self.prediction.node(*self.nodes[at])
        level, number = self.nodes[at]
        is_last = number == self.prediction.n_nodes[level] - 1
        behind = self.prediction.n_chunks - 1 if is_last else (number + 1) * 57 ** (level + 1)
        zyx = np.stack(np.unravel_index([*expected.first, behind], self.shape[1:]), axis=1)
        entry = np.dtype([("size", "<u4"), ("mask", "<u4"), ("offset", "<u8", 5), ("child", "<u8")])
        entries = np.zeros(len(zyx), entry)
        entries["size"], entries["offset"][:, 1:4], entries["child"][:-1] = self.chunk, zyx, expected.children
        entries["offset"][-1, 0] = self.shape[0] * is_last  # beyond all chunks
        head = b"TREE" + bytes((1, expected.level)) + len(expected.children).to_bytes(2, "little") + b"\xff" * 16
        return (head + entries.tobytes()).ljust(NODE_BYTES, b"\0")[:NODE_BYTES]

    def read(self, session: int, start: int, stop: int) -> bytes:
        """Bytes of a session."""
        parts, at = [], start
        while at < stop:
            if at < ROOT:
                parts.append(self.header[at : min(stop, ROOT)])
            else:
                parts.append(self._piece(session, at, stop))
            at += len(parts[-1])
        return b"".join(parts)

    def _piece(self, session: int, at: int, stop: int) -> bytes:
        """From a place to the end of the node that it is in, or to the next node or the end of a turn."""
        before = int(np.searchsorted(self.node_places, at, "right")) - 1
        place = int(self.node_places[before])
        if at < place + NODE_BYTES:
            return self.node(place)[at - place : stop - place]
        end = int(self.node_places[before + 1]) if before + 1 < self.node_places.size else self.size
        first = int(np.searchsorted(self.chunks, at, "right")) - 1
        into = first % ROWS * self.chunk + at - int(self.chunks[first])
        length = min(min(stop, end) - at, ROWS * self.chunk)
        return self.turned(session)[into : into + length]


@cache
def layout(n_volumes: int) -> Layout:
    return Layout(n_volumes)


class Virtual(loopback.Bucket):
    """The bucket; `keys` are beta files that are nowhere."""

    keys: tuple[str, ...] = ()
    n_volumes = 750

    def all_keys(self) -> list[str]:
        return sorted({*super().all_keys(), *self.keys})

    def size(self, key: str) -> int | None:
        if key == PACKED:
            return PACKED_BYTES
        return layout(self.n_volumes).size if key in self.keys else super().size(key)

    def read(self, key: str, start: int, stop: int) -> bytes:
        if key == PACKED:
            return bytes(stop - start)
        if key in self.keys:
            return layout(self.n_volumes).read(self.keys.index(key), start, stop)
        return super().read(key, start, stop)

    def etag(self, key: str) -> str:
        return f'"virtual-{len(key)}"' if key in (PACKED, *self.keys) else super().etag(key)


@contextmanager
def serving(folder: Path, keys: list[str], n_volumes: int) -> Iterator["Server"]:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, str(folder), *keys, "--volumes", str(n_volumes)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Server(process)
    finally:
        process.kill()
        process.wait()


class Server:
    """The process of a bucket."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process: Any = process
        self.url = self._process.stdout.readline().strip()
        assert self.url

    def line(self, rate: float, latency: float) -> None:
        """From now on, and counted anew."""
        self._say(f"line {latency} {rate}")

    def counted(self) -> list[int]:
        """GETs, bytes of objects, GETs of beta files."""
        return self._say("count")

    def _say(self, what: str) -> list[int]:
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return [int(word) for word in self._process.stdout.readline().split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("keys", nargs="+")
    parser.add_argument("--volumes", type=int, default=750)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--rate", type=float, default=0.0)
    asked = parser.parse_args()
    Virtual.keys, Virtual.n_volumes = tuple(asked.keys), asked.volumes
    layout(asked.volumes).header  # noqa: B018 (made before anybody waits for it)
    replaced: Any = loopback
    replaced.Bucket = Virtual
    with loopback.serving(asked.folder) as server:
        server.latency, server.rate = asked.latency, asked.rate
        print(server.url, flush=True)
        for line in sys.stdin:
            if line.startswith("line "):  # the latency and the rate of what follows
                server.latency, server.rate = map(float, line.split()[1:])
                server.requests.clear()
                server.sent = 0
            gets = server.asked("GET")
            print(len(gets), server.sent, sum("betas_" in one.key for one in gets), flush=True)


if __name__ == "__main__":
    main()
