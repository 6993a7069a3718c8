"""How many bytes the columns of a parquet or Arrow file take once they are unpacked, from what the file says of itself.

pyarrow unpacks a whole batch at once and has no limit, so the sizes are added up before it begins.  An Arrow message
is a flatbuffer that lists its buffers, and a packed buffer begins with its size (Arrow's columnar format, "IPC").
"""

from __future__ import annotations

import struct
from typing import Any

__all__ = ["arrow_bytes", "parquet_bytes"]

CELL = 2
"""Bytes of a cell of a text file, at least: parquet keeps a column of equal values in next to nothing."""
HEADER, BATCH_OF_DICTIONARY, BUFFERS, COMPRESSION = 2, 1, 2, 3
"""Places of these fields in the tables Message, DictionaryBatch and RecordBatch (twice)."""


def parquet_bytes(metadata: Any) -> int:
    """Of all row groups together."""
    encoded = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    return max(encoded, CELL * metadata.num_rows * metadata.num_columns)


def arrow_bytes(stream: bytes) -> int:
    """Of all batches together.

    >>> import io, pyarrow
    >>> table, stream = pyarrow.table({"a": [7] * 10_000}), io.BytesIO()
    >>> packed = pyarrow.ipc.IpcWriteOptions(compression="zstd")
    >>> with pyarrow.ipc.new_stream(stream, table.schema, options=packed) as file: file.write(table)
    >>> len(stream.getvalue()) < 8000, arrow_bytes(stream.getvalue())
    (True, 80000)
    """
    from pyarrow import ipc

    return sum(_of_message(message) for message in ipc.MessageReader.open_stream(stream) if message.type != "schema")


def _of_message(message: Any) -> int:
    meta = message.metadata.to_pybytes()
    batch = _target(meta, _target(meta, 0), HEADER)
    if message.type == "dictionary":
        batch = _target(meta, batch, BATCH_OF_DICTIONARY)
    if _field(meta, batch, COMPRESSION) is None:
        return int(message.body.size)
    first = _target(meta, batch, BUFFERS)
    (count,) = struct.unpack_from("<I", meta, first)
    total = 0
    for offset, length in struct.iter_unpack("<qq", meta[first + 4 : first + 4 + 16 * count]):
        if length:  # −1 stands for a buffer that is not packed
            total += max(length, *struct.unpack_from("<q", message.body, offset))
    return total


def _target(meta: bytes, table: int, field: int | None = None) -> int:
    """Where what a field points to begins; of the root, without a field."""
    at = table if field is None else _field(meta, table, field)
    if at is None:
        raise ValueError("a message without its batch")
    return at + int(struct.unpack_from("<I", meta, at)[0])


def _field(meta: bytes, table: int, index: int) -> int | None:
    """Where a field of a table lies; None if it has its default."""
    directory = table - struct.unpack_from("<i", meta, table)[0]
    (size,) = struct.unpack_from("<H", meta, directory)
    at = 4 + 2 * index
    offset = struct.unpack_from("<H", meta, directory + at)[0] if at < size else 0
    return table + offset if offset else None
