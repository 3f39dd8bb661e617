"""One POST of one JSON object to an address that is a secret.

Does not belong here: what is sent, and what follows when it was not taken (notifier, outbound).
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

TIMEOUT_SECONDS = 10
_TAKEN = range(200, 300)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without its body, and be answered as if it had been taken."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def post(url: str, body: Mapping[str, Any], content_type: str = "application/json") -> str | None:
    """Send one JSON object; why it was not taken, without the address; None when it was (HTTP 2xx)."""
    try:
        request = urllib.request.Request(  # noqa: S310  the address is a setting
            url, data=json.dumps(body).encode(), headers={"Content-Type": content_type}, method="POST"
        )
        with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return None if answer.status in _TAKEN else f"HTTP {answer.status}"
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return type(error).__name__
