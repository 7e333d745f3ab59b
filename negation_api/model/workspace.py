"""Memory that a thread computes its batches in, one after the other."""

import mmap
import threading

import torch

LEAST_BYTES = 2**24  # of a buffer; pages that are not written to take no memory
KEPT_BYTES = 2**22  # BERT-base needs 3 MB for a batch of 256 tokens


class Workspace(threading.local):
    """Buffers for tensors, one for each thread and name, kept from batch to batch.

    Batches are of all sizes. Allocated and freed for each, tens of tensors of a few MB
    scatter over glibc's arenas: a BERT-base worker grew by 150 MB in 2,500 requests,
    for batches that need 15. Buffers are mapped, so glibc has no part in them.
    """

    def __init__(self):
        self._buffers: dict[str, Buffer] = {}
        self._taken: dict[tuple, torch.Tensor] = {}  # layers take the same again

    def take(
        self, name: str, rows: int, width: int, dtype: torch.dtype = torch.float32
    ) -> torch.Tensor:
        """Give the buffer *name* as (rows, width), with whatever was left in it."""
        key = name, rows, width, dtype
        taken = self._taken.get(key)
        if taken is None:
            taken = self._taken[key] = self._make(name, rows, width, dtype)
        return taken

    def _make(self, name: str, rows: int, width: int, dtype) -> torch.Tensor:
        size = rows * width * dtype.itemsize
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer.data) < size:
            buffer = self._buffers[name] = Buffer(size)
        buffer.used = max(buffer.used, size)
        return buffer.data[:size].view(dtype).view(rows, width)

    def trim(self) -> None:
        """Return to the system what only large batches need: call it after each."""
        self._taken.clear()
        for buffer in self._buffers.values():
            buffer.trim()


class Buffer:
    """Zeroed memory of at least *size* bytes, and how many of them were used."""

    def __init__(self, size: int):
        num_bytes = max(LEAST_BYTES, 1 << (size - 1).bit_length())
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._memory = mmap.mmap(-1, num_bytes, flags)
        self.data = torch.frombuffer(self._memory, dtype=torch.uint8)
        self.used = 0

    def trim(self) -> None:
        """Free the pages beyond what is kept (madvise(2)); they read as 0 then."""
        if self.used > KEPT_BYTES:
            excess = len(self._memory) - KEPT_BYTES
            self._memory.madvise(mmap.MADV_DONTNEED, KEPT_BYTES, excess)
            self.used = 0
