"""A way to PostgreSQL that breaks at a commit: before the server hears of it, or just after."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from typing import Literal, Self, TypeAlias

__all__ = ["CommitProxy", "Loss"]

Loss: TypeAlias = Literal["commit", "answer"]
"""What is lost: the commit itself, or the server's answer to it."""

_COMMIT = b"COMMIT\0"
_LOOK_S = 0.05


class CommitProxy:
    """Passes bytes between clients and a server of this machine.

    Args:
        port: Of the server.
    """

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._over, self._is_cut = threading.Event(), threading.Event()
        self._losses: list[tuple[Loss, bool]] = []
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def lost(self) -> bool:
        """Whether all that was to be lost is."""
        return not self._losses

    def url(self, url: str) -> str:
        """A server's URL, by this way."""
        port = self._listening.getsockname()[1]
        return url.replace(f":{self._server[1]}/", f":{port}/")

    def lose(self, *what: Loss, then_cut: bool = False) -> None:
        """Breaks the connection at the next commits, once at each.

        Args:
            what: At each.
            then_cut: Let nobody through afterwards.
        """
        self._losses += [(loss, then_cut) for loss in what]

    def forget(self) -> None:
        """Loses nothing more."""
        self._losses.clear()

    def cut(self) -> None:
        """Ends every connection, and lets nobody through."""
        self._is_cut.set()

    def mend(self) -> None:
        """Lets them through again."""
        self._is_cut.clear()

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            if not select.select([self._listening], [], [], _LOOK_S)[0]:
                continue
            client, _ = self._listening.accept()
            thread = threading.Thread(target=self._pass, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _pass(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            if self._is_cut.is_set():
                return
            with socket.create_connection(self._server) as server:
                while not self._over.is_set() and not self._is_cut.is_set():
                    for side in select.select([client, server], [], [], _LOOK_S)[0]:
                        data = side.recv(65_536)
                        if not data or self._loses(side is client, data, server):
                            return
                        (server if side is client else client).sendall(data)

    def _loses(self, asked: bool, data: bytes, server: socket.socket) -> bool:
        if not asked or not self._losses or not data.endswith(_COMMIT):
            return False
        loss, then_cut = self._losses.pop(0)
        if loss == "answer":
            server.sendall(data)
            server.recv(65_536)
        if then_cut:
            self.cut()
        return True
