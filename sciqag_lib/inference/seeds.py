"""A call's own seed, and the digest of what must not change."""

import hashlib
import json
from typing import Any


def derive_seed(seed: int, *parts: Any) -> int:
    """A call's own seed, from (seed, paper, call, attempt) alone, so that order and resuming change nothing."""
    data = "\x1f".join(str(part) for part in (seed, *parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(data).digest()[:4], "big") >> 1


def digest_of(value: Any) -> str:
    """16 hex digits that change whenever a JSON value does."""
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
    ).hexdigest()[:16]
