"""Messages between the API and the process that renders images for it: a JSON head, then the bytes it announces."""

import json
import struct
from typing import Any

HEAD = struct.Struct(">I")
REPLY = struct.Struct(">BI")  # whether it is an image or a problem, and its bytes
IMAGE, PROBLEM = 0, 1
MAX_HEAD_BYTES = 1024**2
MAX_REPLY_BYTES = 32 * 1024**2


def pack_head(head: dict[str, Any]) -> bytes:
    content = json.dumps(head).encode()
    return HEAD.pack(len(content)) + content
