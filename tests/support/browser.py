"""A browser for tests: follows every redirect, with cookies, and shows nothing.

``BROWSER="PYTHON tests/support/browser.py %s"``. OPENED names a file that gets the page it opened.
"""

from __future__ import annotations

import os
import sys
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError


def opened(url: str) -> str:
    """Open a page; return the text of where that ends."""
    browser = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
    )
    try:
        with browser.open(url, timeout=20) as answer:
            return str(answer.read().decode())
    except HTTPError as error:
        with error:
            return error.read().decode()


if __name__ == "__main__":
    found = opened(sys.argv[1])
    if "OPENED" in os.environ:
        Path(os.environ["OPENED"]).write_text(found)
