"""Plays the page at the other end of a widget's comm."""

from __future__ import annotations

from comm.base_comm import BaseComm


class RecordingComm(BaseComm):
    """Keeps what a widget sends, and hands it what a page would send."""

    def __init__(self, *args: object, **keywords: object) -> None:
        self.published: list[dict[str, object]] = []
        super().__init__(*args, **keywords)

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys) -> None:
        self.published.append({"type": msg_type, "data": data or {}, "buffers": buffers or []})

    def sent(self, method: str) -> list[dict[str, object]]:
        """Give the data of the messages of one method: ``update``, ``echo_update``, ``custom``."""
        return [one["data"] for one in self.published if one["data"].get("method") == method]

    def states(self, name: str) -> list[object]:
        """Give the values of a trait that the kernel sent, one after another."""
        return [one["state"][name] for one in self.sent("update") if name in one["state"]]

    def page_sends(self, data: dict[str, object]) -> None:
        self.handle_msg({"content": {"data": data}, "buffers": []})

    def page_sets(self, **state: object) -> None:
        self.page_sends({"method": "update", "state": state, "buffer_paths": []})
