"""Writes the price table from the locked genai-prices; --check says whether it has drifted."""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime
from pathlib import Path

from agentauth_cli.config.genai import compiled

TABLE = Path(__file__).resolve().parent.parent / "agentauth_cli" / "policy" / "prices.json"


def main() -> None:
    """Write the table as of today, or hold the one that is there against its own day."""
    if "--check" not in sys.argv[1:]:
        TABLE.write_bytes(compiled(datetime.now(UTC).date()))  # noqa: TID251 - nobody hands it in
        return
    content = TABLE.read_bytes()
    if content != compiled(date.fromisoformat(json.loads(content)["as_of"])):
        sys.exit(f"{TABLE.name} is not what genai-prices says: run `make prices`")


if __name__ == "__main__":
    main()
