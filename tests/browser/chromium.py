"""Finds the system's Chromium: the tests download no browser of their own."""

from __future__ import annotations

import os
import shutil
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium_path() -> str:
    """Return the browser's path, ``$CHROMIUM`` before any that is found.

    Raises
    ------
    FileNotFoundError
        When there is none.
    """
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise FileNotFoundError(
            "no Chromium is found: `make test` installs it on Debian and Ubuntu; elsewhere install "
            "it and set the variable CHROMIUM to its path."
        )
    return found


if __name__ == "__main__":
    try:
        print(chromium_path())
    except FileNotFoundError as error:
        sys.exit(str(error))
