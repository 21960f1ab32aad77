"""JupyterLab and a page in Chromium, for tests that do with a notebook what a person does.

The server has folders of its own and a free port; nothing outside of 127.0.0.1 is reached. Waiting
is always for something that can be seen, never for a time.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}
# errors in the page's console that concern widgets; JupyterLab has some of its own without them
OF_WIDGETS = re.compile(
    r"labextensions/(?!@jupyterlab/)|widget|ipycanvas|ipyevents|\bcomm\b|model (class|not found)",
    re.I,
)
ROOT = Path(__file__).resolve().parent.parent.parent
KEPT = ROOT / "runs" / "browser"  # pictures of the page, to be looked at
SECONDS = 180  # the longest that anything may take, on a busy machine
PANEL = """[...window.jupyterapp.shell.widgets('main')].find(w => w.content?.model?.cells)"""


class JupyterLab:
    """A running server.

    Args:
        root: the folder it shows.
        home: its own configuration, data and runtime files.
    """

    def __init__(self, root: Path, home: Path):
        self.root, self.token = root, secrets.token_hex(16)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        for name, value in SETTINGS.items():
            path = home / "settings" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value), encoding="utf-8")
        env = os.environ | {
            "JUPYTER_TOKEN": self.token,
            "JUPYTER_NO_CONFIG": "1",
            "IPYTHONDIR": str(home / "ipython"),
            **{f"JUPYTER_{n}_DIR": str(home / n.lower()) for n in ("CONFIG", "DATA", "RUNTIME")},
        }
        self._log = (home / "jupyter.log").open("wb")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
                *(f"--ServerApp.root_dir={root}", "--LabApp.expose_app_in_browser=True"),
                f"--LabApp.user_settings_dir={home / 'settings'}",
                f"--LabApp.workspaces_dir={home / 'workspaces'}",
                "--LabApp.extension_manager=readonly",
                "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            ],
            cwd=root,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        poll(self._answers, "JupyterLab answers")

    def _answers(self) -> bool:
        assert self._process.poll() is None, f"JupyterLab ended: see {self._log.name}"
        try:
            return self._ask("/api/status") is not None
        except (urllib.error.URLError, OSError):
            return False

    def _ask(self, path: str, method: str = "GET") -> bytes:
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(self.url + path, method=method, headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return opener.open(request, timeout=10).read()

    def close(self) -> None:
        """End the server and its kernels."""
        try:
            self._ask("/api/shutdown", "POST")
            self._process.wait(30)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._log.close()


class NotebookPage:
    """A notebook opened in a browser window.

    Args:
        lab: the server.
        browser: playwright's Chromium.
        name: the notebook, relative to the server's root.
        size: of the window in CSS pixels.
        touch: whether the window has a touch screen.
    """

    def __init__(self, lab: JupyterLab, browser: Any, name: str, size=(1280, 1000), touch=False):
        viewport = {"width": size[0], "height": size[1]}
        self.context = browser.new_context(viewport=viewport, has_touch=touch)
        self.context.set_default_timeout(SECONDS * 1000)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        path = urllib.parse.quote(name)
        self.page.goto(f"{lab.url}/lab/tree/{path}?token={lab.token}&reset")
        self.ready()

    def _hear(self, message: Any) -> None:
        place = (message.location or {}).get("url", "")
        if message.type == "error" and OF_WIDGETS.search(f"{message.text} {place}"):
            self.errors.append(f"{message.text} ({place})")

    def ready(self) -> None:
        """Wait until the notebook is open and its kernel is idle."""
        self.page.wait_for_function("() => window.jupyterapp !== undefined")
        self.page.evaluate("async () => { await window.jupyterapp.restored; }")
        self.page.wait_for_function(
            f"() => {{ const p = {PANEL}; const k = p?.sessionContext.session?.kernel;"
            " return k && k.connectionStatus === 'connected' && k.status === 'idle'; }"
        )

    def run_all(self) -> None:
        """Run all cells; a cell that fails is an error here."""
        self.page.evaluate(
            f"""async () => {{ const p = {PANEL}; window.jupyterapp.shell.activateById(p.id);
            await window.jupyterapp.commands.execute('notebook:run-all-cells'); }}"""
        )
        self.check_cells()

    def check_cells(self) -> None:
        """No cell shows an error, and the console has none of a widget."""
        outputs = self.page.evaluate(
            f"""() => {PANEL}.content.widgets.map(w => w.model.sharedModel.toJSON().outputs ?? [])
            .flat().filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue)"""
        )
        assert outputs == [] and self.errors == []

    def restart_kernel(self) -> None:
        """Restart the kernel, as the menu does, without the question."""
        self.page.evaluate(f"async () => {{ await {PANEL}.sessionContext.restartKernel(); }}")
        self.ready()

    def wait_saved(self) -> None:
        """Wait until the notebook's file holds what the page shows."""
        self.page.wait_for_function(f"() => !{PANEL}.context.model.dirty")

    def python(self, code: str) -> str:
        """Run code in the notebook's kernel; what it prints. An error in it is one here."""
        result = self.page.evaluate(
            f"""async code => {{ const kernel = {PANEL}.sessionContext.session.kernel;
            const future = kernel.requestExecute({{ code, store_history: false }});
            let text = '', error = null;
            future.onIOPub = m => {{
              if (m.header.msg_type === 'stream') text += m.content.text;
              if (m.header.msg_type === 'error') error = m.content.ename + ': ' + m.content.evalue;
            }};
            await future.done; return [text, error]; }}""",
            code,
        )
        assert result[1] is None, result[1]
        return result[0]

    # -- the click tool in it

    @property
    def canvas(self) -> Any:
        """The photograph."""
        return self.page.locator("canvas.click-canvas")

    def click(self, x: float, y: float, **how: Any) -> None:
        """Click at a pixel of the canvas' bitmap, wherever the page shows it."""
        self.canvas.scroll_into_view_if_needed()
        self.canvas.click(position=self.place(x, y), **how)

    def place(self, x: float, y: float) -> dict[str, float]:
        """CSS pixels from the canvas' corner of a pixel of its bitmap."""
        sx, sy = self.canvas.evaluate(
            """e => { const r = e.getBoundingClientRect();
            return [r.width / e.width, r.height / e.height]; }"""
        )
        return {"x": (x + 0.5) * sx, "y": (y + 0.5) * sy}

    def pixels(self) -> np.ndarray:
        """What the canvas shows, (h, w, 3) uint8 RGB."""
        url = self.canvas.evaluate("e => e.toDataURL('image/png')")
        data = np.frombuffer(base64.b64decode(url.split(",")[1]), np.uint8)
        return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    def button(self, text: str) -> None:
        """Press the button with this text."""
        exact = re.compile(rf"^\s*{re.escape(text)}\s*$")
        self.page.locator(".click-tool button").filter(has_text=exact).first.click()

    @property
    def status(self) -> str:
        """The status line, also while JupyterLab does not render it because it is out of sight."""
        return self.page.locator(".click-status").text_content() or ""

    def wait_status(self, *texts: str) -> None:
        """Wait until the status line has all these texts and the network does not run."""
        poll(
            lambda: "running" not in (now := self.status) and all(t in now for t in texts),
            f"the status line says {texts}; it says {{}}",
            lambda: self.status,
        )

    def screenshot(self, path: Path) -> None:
        """Keep a picture of the window."""
        self.canvas.scroll_into_view_if_needed()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)

    def close(self) -> None:
        """Close the window and end its kernel."""
        self.page.evaluate(f"async () => {{ await {PANEL}.sessionContext.shutdown(); }}")
        self.context.close()


def poll(
    condition: Callable[[], bool],
    what: str,
    detail: Callable[[], str] | None = None,
    seconds=SECONDS,
) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: it did not within the time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited in vain: " + what.format(detail() if detail else ""))
        time.sleep(0.05)


def saved_mask(page: NotebookPage, name: str, folder: str = "annotations") -> np.ndarray:
    """(H, W) bool: a mask of the tool's folder, once the tool has nothing left to do."""
    page.python("assert tool.wait(60)")
    path = page.folder / folder / "masks" / f"{name}.png"
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED) == 255


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(h, w) bool: pixels that look different."""
    return np.abs(before.astype(int) - after).max(axis=2) > 12


def click_and_see(page: NotebookPage, x: float, y: float, **how) -> np.ndarray:
    """Click, wait for the answer, and return which pixels of the canvas look different."""
    before = page.pixels()
    page.click(x, y, **how)
    poll(lambda: changed(before, page.pixels()).sum() > 50, "a click changes pixels", seconds=60)
    page.wait_status(" ms")
    return changed(before, page.pixels())


def keep(page: NotebookPage, name: str) -> None:
    """Pictures of the page at two widths."""
    for width in (1280, 700):
        page.page.set_viewport_size({"width": width, "height": 1000})
        page.screenshot(KEPT / f"{name}_{width}.png")
    page.page.set_viewport_size({"width": 1280, "height": 1000})
