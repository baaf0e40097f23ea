"""A real headless Chromium, spoken to over the pipe of its DevTools protocol: no driver, no port, no dependency."""

import base64
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")
PROGRAM = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",  # which the root of a container cannot have
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--window-size=1600,1000",
)


class Page:
    """One page, with all that went wrong in it and all that it asked the network for.

    Attributes
    ----------
    errors
        Uncaught exceptions, errors on the console, and what the browser itself reports as an error.
    requests
        URLs that are neither in the file nor the file itself.
    """

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from, self._rest, self._number = to_browser, from_browser, b"", 0
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        target = self.call("Target.createTarget", url="about:blank", session=False)["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True, session=False)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, *, session: bool = True, timeout: float = 60, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result; events that arrive meanwhile are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = self.session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + timeout
        while True:
            answer = self._read(end)
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def open(self, file: Path) -> None:
        """Open a local file and wait until it is loaded."""
        self._loaded = False
        self.call("Page.navigate", url=file.resolve().as_uri())
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Evaluate JavaScript and return its value; a promise's when it is kept."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, f"{script}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = 30) -> None:
        """Wait until JavaScript is true."""
        end = time.monotonic() + seconds
        while not self.run(condition):
            assert time.monotonic() < end, f"never true: {condition}"
            time.sleep(0.05)

    def texts_of_frames(self) -> list[str]:
        """Return the visible text of each frame inside the page, once it is loaded."""
        texts = []
        for child in self.call("Page.getFrameTree")["frameTree"].get("childFrames", []):
            frame = child["frame"]["id"]
            world = self.call("Page.createIsolatedWorld", frameId=frame)["executionContextId"]
            script = "document.readyState === 'complete' ? document.body.innerText : ''"
            answer = self.call("Runtime.evaluate", expression=script, contextId=world, returnByValue=True)
            texts.append(answer["result"]["value"])
        return texts

    def screenshot(self, file: Path) -> None:
        """Write what is seen as a PNG."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def _read(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert time.monotonic() < end, "the browser does not answer"
            try:
                part = os.read(self._from, 1 << 20)
            except BlockingIOError:
                time.sleep(0.005)
                continue
            assert part, "the browser ended"
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(text)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, event: str | None, values: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            details = values["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif event == "Runtime.consoleAPICalled" and values["type"] in ("error", "assert"):
            self.errors.append(" ".join(str(one.get("value", one.get("description"))) for one in values["args"]))
        elif event == "Log.entryAdded" and values["entry"]["level"] == "error":
            self.errors.append(values["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            url = values["request"]["url"]
            if not url.startswith(("data:", "file:", "about:", "blob:")):
                self.requests.append(url)


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    """Start a browser whose profile lies in a folder, give its page, and end it."""
    assert PROGRAM
    pairs = [os.pipe(), os.pipe()]
    # Chromium reads from 3 and writes to 4: ours lie above, so that neither is overwritten before it is copied
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for pair in pairs for end in pair]
    for pair in pairs:
        for end in pair:
            os.close(end)
    its_input, to_browser, from_browser, its_output = high

    def wire() -> None:
        os.dup2(its_input, 3)
        os.dup2(its_output, 4)

    with open(folder / "chromium.log", "wb") as log:
        process = subprocess.Popen(
            [PROGRAM, *FLAGS, f"--user-data-dir={folder / 'profile'}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=wire,
            pass_fds=(3, 4),
            start_new_session=True,
        )
    os.close(its_input)
    os.close(its_output)
    os.set_blocking(from_browser, False)
    try:
        yield Page(to_browser, from_browser)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(to_browser)
        os.close(from_browser)
