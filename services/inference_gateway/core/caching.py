"""Keys of cached answers. The bundle's digest is part of the key, so a rollback can never serve the other bundle's answer."""

import hashlib
import json

from contracts.envelope import Digest

KEY_VERSION = 1


def cache_key(bundle_digest: Digest, task: str, text: str, **parameters: float) -> str:
    """Return the key of an answer.

    Example:
        >>> cache_key("a" * 64, "classify", "x") == cache_key("b" * 64, "classify", "x")
        False
    """
    canonical = json.dumps([KEY_VERSION, bundle_digest, task, parameters, text], sort_keys=True, ensure_ascii=False)
    return f"plumbline:answer:{hashlib.blake2b(canonical.encode(), digest_size=20).hexdigest()}"
