"""A browser for tests: follows every redirect, with cookies, and shows nothing.

``BROWSER="PYTHON tests/support/browser.py %s"``. OPENED names a file that gets the page it opened.
"""

from __future__ import annotations

import os
import re
import sys
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode


def _browser() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
    )


def _text(browser: urllib.request.OpenerDirector, url: str, form: bytes | None) -> str:
    try:
        with browser.open(url, form, timeout=20) as answer:
            return str(answer.read().decode())
    except HTTPError as error:
        with error:
            return error.read().decode()


def opened(url: str, form: bytes | None = None) -> str:
    """Open a page, or send it a form; return the text of where that ends."""
    return _text(_browser(), url, form)


def typed_in(url: str, code: str) -> None:
    """Type the code of a device in where its person would, and confirm it."""
    browser = _browser()
    page = _text(browser, url, None)
    for more in ({"user_code": code}, {"user_code": code, "confirm": "yes"}):
        (secret,) = re.findall(r'name="xsrf" value="([^"]+)"', page)
        page = _text(browser, url, urlencode({"xsrf": secret, **more}).encode())
    assert page.endswith("done"), page


if __name__ == "__main__":
    found = opened(sys.argv[1])
    if "OPENED" in os.environ:
        Path(os.environ["OPENED"]).write_text(found)
