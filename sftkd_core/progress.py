"""One line of progress that updates in place: in a notebook, in a terminal, in a log."""

import sys
import time


class Line:
    """A line ``label: text``, replaced at each ``show`` and removed or kept by ``close``.

    In a notebook the line is one display that updates; in a terminal it is rewritten; in a log
    file a line is written at most every ``interval`` seconds. ``quiet`` shows nothing.
    """

    def __init__(self, label: str, quiet: bool = False, interval: float = 20.0):
        self.label, self.quiet, self.interval = label, quiet, interval
        self._handle = None
        self._last = 0.0

    def show(self, text: str) -> None:
        """Replace the line."""
        if self.quiet:
            return
        message = f"{self.label}: {text}"
        if _in_notebook():
            self._display(message)
        elif sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{message}")
            sys.stderr.flush()
        elif time.monotonic() - self._last >= self.interval:
            self._last = time.monotonic()
            print(message, file=sys.stderr, flush=True)

    def close(self, text: str) -> None:
        """Leave a last line."""
        self._last = 0.0
        self.show(text)
        if not self.quiet and not _in_notebook() and sys.stderr.isatty():
            sys.stderr.write("\n")

    def _display(self, message: str) -> None:
        from IPython.display import HTML, display

        content = HTML(f'<span class="sftkd-progress">{message}</span>')
        if self._handle is None:
            self._handle = display(content, display_id=True)
        else:
            self._handle.update(content)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def clock(seconds: float) -> str:
    """``95 -> "1 min 35 s"``."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
