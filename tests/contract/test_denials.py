"""What the documentation says that the daemon does not have, asked for at its socket."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from served import Serve


@pytest.mark.parametrize("path", ["/", "/index.html", "/ui", "/favicon.ico"])
def test_serve_has_no_page(tmp_path: Path, path: str) -> None:
    """Its socket answers programs alone; where there is one, docs/operate/farm.md has to name it at `--webui-url`."""
    serve = Serve(tmp_path)
    try:
        with httpx.Client(
            transport=httpx.HTTPTransport(uds=str(serve.path), verify=False), base_url="http://daqsched"
        ) as client:
            assert client.get(path).status_code == 404
    finally:
        serve.close()
