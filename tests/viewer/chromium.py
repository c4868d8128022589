"""A headless Chromium over its DevTools protocol: enough to open a page, look, type and listen for errors."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from viewer.bench import BROWSER, FLAGS, find_browser

PATIENCE = 60.0  # s: rendering in software on a busy machine takes its time


class Chromium:
    """A browser with one page.

    Attributes:
        errors: what the page complained of.
        requests: addresses that it asked for.
    """

    def __init__(self, url: str, size: tuple[int, int] = (800, 500)) -> None:
        from websockets.sync.client import connect

        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        found = find_browser()
        assert found, BROWSER
        window = f"--window-size={size[0]},{size[1]}"
        profile = f"--user-data-dir={self._folder.name}"
        flags = [flag for flag in FLAGS if not flag.startswith("--window-size")]
        command = [found, *flags, window, profile, "about:blank"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._socket = connect(self._page(), max_size=None)
        self._number, self.errors, self.requests = 0, [], []
        for domain in ("Runtime", "Log", "Network", "Page"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=url)

    def _page(self) -> str:
        """Return the address of the page's protocol."""
        port = Path(self._folder.name) / "DevToolsActivePort"
        begin = time.monotonic()
        while time.monotonic() - begin < PATIENCE:
            if port.exists() and port.read_text():
                listing = f"http://127.0.0.1:{port.read_text().split()[0]}/json/list"
                pages = [t for t in json.load(urllib.request.urlopen(listing)) if t["type"] == "page"]
                if pages:
                    return pages[0]["webSocketDebuggerUrl"]
            time.sleep(0.1)
        raise TimeoutError("chromium did not start")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the result of a method of the protocol."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE))
            if message.get("id") == self._number:
                return message.get("result", {})
            self._note(message.get("method", ""), message.get("params", {}))

    def _note(self, method: str, told: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.errors.append(str(told["exceptionDetails"].get("text")))
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "assert"):
            self.errors.append(str([a.get("value", a.get("description")) for a in told["args"]]))
        elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(told["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return answer.get("result", {}).get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression is true in the page."""
        begin = time.monotonic()
        while not self.evaluate(expression):
            assert time.monotonic() - begin < PATIENCE, f"never true: {expression}"
            time.sleep(0.2)

    def picture(self) -> np.ndarray:
        """Return what the page shows, (height, width, 3)."""
        from imageio.v3 import imread

        shot = self.call("Page.captureScreenshot", format="png")
        return imread(io.BytesIO(base64.b64decode(shot["data"])))[..., :3].astype(float)

    def close(self) -> None:
        """End the browser."""
        self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._folder.cleanup()
