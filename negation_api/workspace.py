"""Memory that a thread computes its batches in, one after the other."""

import mmap
import threading

import torch

LEAST_BYTES = 2**24  # of a room; pages that are not written to take no memory


class Workspace(threading.local):
    """Rooms for tensors, one for each thread and name, kept and never made smaller.

    Batches are of all sizes. Allocated and freed for each, tens of tensors of a few MB
    scatter over glibc's arenas: a BERT-base worker grew by 150 MB in 2,500 requests,
    for batches that need 15. Rooms are mapped, so glibc has no part in them.
    """

    def __init__(self):
        self._kept: dict[str, torch.Tensor] = {}

    def take(
        self, name: str, rows: int, width: int, dtype: torch.dtype = torch.float32
    ) -> torch.Tensor:
        """Give the room *name* as (rows, width), with whatever was left in it."""
        size = rows * width * dtype.itemsize
        room = self._kept.get(name)
        if room is None or len(room) < size:
            num_bytes = max(LEAST_BYTES, 1 << (size - 1).bit_length())
            memory = mmap.mmap(-1, num_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            room = self._kept[name] = torch.frombuffer(memory, dtype=torch.uint8)
        return room[:size].view(dtype).view(rows, width)
