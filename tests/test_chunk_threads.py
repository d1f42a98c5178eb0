"""Chunks are read in one thread and pictures in another: h5py before 3.16 read chunks without its lock."""

import threading
from pathlib import Path

import h5py
import numpy as np

N_VOXELS = 40


def test_chunks_are_as_written_while_another_thread_reads_pictures(tmp_path: Path) -> None:
    written = np.random.default_rng(0).integers(0, 999, (720, N_VOXELS, N_VOXELS)).astype(np.int16)
    with h5py.File(tmp_path / "betas", "w") as file:
        file.create_dataset("betas", data=written, chunks=(720, 1, 1))
    with h5py.File(tmp_path / "pictures", "w") as file:
        file.create_dataset("imgBrick", data=np.ones((200, 60, 60, 3), np.uint8))
    is_over, seen = threading.Event(), list[int]()

    def look() -> None:
        with h5py.File(tmp_path / "pictures", "r") as file:
            while not is_over.is_set():
                seen.append(int(file["imgBrick"][len(seen) % 200].min()))

    other = threading.Thread(target=look)
    other.start()
    stored = np.empty(720, np.int16)
    try:
        with h5py.File(tmp_path / "betas", "r") as file:
            betas = file["betas"].id
            for place in np.ndindex(N_VOXELS, N_VOXELS):
                betas.read_direct_chunk((0, *place), out=stored.data.cast("B"))
                assert (stored == written[:, *place]).all()
    finally:
        is_over.set()
        other.join()
    assert set(seen) == {1}
