"""Threads beside the loops of a node."""

import threading
from collections.abc import Callable


class BackgroundTask:
    """A thread for one thing at a time; what is asked while it works is left out.

    Args:
        name: The thread's name.
        failed: Gets the error of what failed.
    """

    def __init__(self, name: str, failed: list[BaseException]) -> None:
        self._name, self._failed = name, failed
        self._thread: threading.Thread | None = None

    def __call__(self, action: Callable[[], object]) -> None:
        """Begins with it, where nothing is being done."""

        def kept() -> None:
            try:
                action()
            except BaseException as error:
                self._failed.append(error)

        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=kept, name=self._name)
            self._thread.start()

    def join(self) -> None:
        """Waits until it has ended."""
        if self._thread is not None:
            self._thread.join()
