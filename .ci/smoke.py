"""Start the demo as README says, log in over HTTP, read the summary, open the first page, stop it, start it again."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PORT = 8765
BASE = f"http://127.0.0.1:{PORT}"
FIRST_PAGE_WITHIN = 60  # seconds
STOP_WITHIN = 15


def call(path: str, *, body: dict[str, str] | None = None, token: str = "") -> dict[str, object]:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(BASE + path, data=data, headers={"Content-Type": "application/json"})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def start(data_dir: str) -> tuple["subprocess.Popen[str]", list[str], float]:
    """The demo, what it printed until its URL, and how long that took."""
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "up", "--demo", "--port", str(PORT), "--data-dir", data_dir],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, cwd=ROOT,
    )
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        print("  ", line, end="", flush=True)
        lines.append(line)
        if "log in" in line.lower() or "password" in line.lower():
            break
    if process.poll() is not None:
        sys.exit("the demo ended by itself")
    while True:
        try:
            urllib.request.urlopen(f"{BASE}/login/", timeout=5).read()
            break
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() - begun > FIRST_PAGE_WITHIN * 2:
                sys.exit("no first page")
            time.sleep(0.2)
    return process, lines, time.monotonic() - begun


def stop(process: "subprocess.Popen[str]") -> None:
    begun = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=STOP_WITHIN)
    print(f"   stopped in {time.monotonic() - begun:.1f} s with {process.returncode}")
    left = subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True, text=True, check=False).stdout.split()
    if left or process.returncode != 0:
        sys.exit(f"left behind: {left}, exit code {process.returncode}")


def summary(lines: list[str]) -> dict[str, object]:
    login = re.search(r"(\S+@\S+).*?password[: ]+(\S+)", "".join(lines), re.IGNORECASE | re.DOTALL)
    if login is None:
        sys.exit("no login was printed")
    tokens = call("/api/auth/token/", body={"email": login[1], "password": login[2]})
    return call("/api/portfolio/summary/", token=str(tokens["access"]))


with tempfile.TemporaryDirectory(prefix="smoke-") as data_dir:
    process, lines, seconds = start(data_dir)
    first = summary(lines)
    print(f"   first page after {seconds:.1f} s; market value {first['market_value']} {first.get('currency', '')}")
    if seconds > FIRST_PAGE_WITHIN or first["market_value"] in (None, "0"):
        sys.exit("too slow, or nothing is valued")
    stop(process)
    process, lines, seconds = start(data_dir)
    second = summary(lines)
    if second["market_value"] != first["market_value"]:
        sys.exit(f"a second start shows other data: {second['market_value']}")
    print(f"   second start after {seconds:.1f} s shows the same")
    stop(process)
