"""The front end's built bundle, as files of the package."""

from __future__ import annotations

from pathlib import Path

STATIC = Path(__file__).resolve().parents[1] / "widget" / "static"
WIDGET_MODULE = STATIC / "widget.js"
STANDALONE_SCRIPT = STATIC / "standalone.js"


class MissingBundle(FileNotFoundError):  # noqa: N818  (says what is wrong, as its base does)
    """The front end has not been built."""


def require(bundle: Path) -> Path:
    """Give the path of a bundle that is there.

    Parameters
    ----------
    bundle : Path
        :data:`WIDGET_MODULE` or :data:`STANDALONE_SCRIPT`.

    Returns
    -------
    Path

    Raises
    ------
    MissingBundle
        In a clone whose front end has not been built; the message says how to build it.
    """
    if not bundle.is_file():
        raise MissingBundle(
            f"{bundle.name}: the front end is not built in this clone; run "
            f"`npm ci && npm run build` in {STATIC.parents[2]}, then restart Python."
        )
    return bundle
