"""The lines of a file by elasticsearch-py's ``helpers.bulk``, as its manual shows it.

python bench/helpers.py URL INDEX FILE FIELDS
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch, helpers


def documents(index: str, file: Path, fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One for each line."""
    offset = 0
    with file.open("rb") as lines:
        for line in lines:
            text = line[:-1].decode("utf-8", "replace")
            yield {
                "_op_type": "create",
                "_index": index,
                "_id": f"AAAAAAAAAAA-{offset:010x}",
                "@timestamp": datetime.now(timezone.utc).isoformat(),
                "message": text,
                "log": {"offset": offset, "level": text.split("[", 1)[1].split("]", 1)[0].lower()},
                **fields,
            }
            offset += len(line)


def main() -> None:
    """Store them."""
    url, index, file, fields = sys.argv[1:]
    client = Elasticsearch(url)
    helpers.bulk(client, documents(index, Path(file), json.loads(fields)))


if __name__ == "__main__":
    main()
