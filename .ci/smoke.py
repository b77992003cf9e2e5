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
FIRST_PAGE_WITHIN = 60  # seconds, the download of the price package included
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
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        cwd=ROOT,
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
            if time.monotonic() - begun > FIRST_PAGE_WITHIN:
                sys.exit("no first page")
            time.sleep(0.2)
    return process, lines, time.monotonic() - begun


def stop(process: "subprocess.Popen[str]", lines: list[str]) -> None:
    begun = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=STOP_WITHIN)
    print(f"   stopped in {time.monotonic() - begun:.1f} s with {process.returncode}")
    parts = [int(pid) for pid in re.findall(r"process (\d+)", "".join(lines))]
    left = [pid for pid in parts if is_running(pid)]
    if len(parts) < 5 or left or process.returncode != 0:
        sys.exit(f"parts {parts}, left behind {left}, exit code {process.returncode}")


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def summary(lines: list[str]) -> dict[str, object]:
    login = re.search(r"([\w.+-]+@[\w.-]+\w)\W.*?password[: ]+(\S+)", "".join(lines), re.IGNORECASE | re.DOTALL)
    if login is None:
        sys.exit("no login was printed")
    tokens = call("/api/auth/token/", body={"email": login[1], "password": login[2]})
    return call("/api/portfolio/summary/", token=str(tokens["access"]))


def read_stop(data_dir: str) -> tuple[dict[str, object], float]:
    """The summary of one start that ends as it should, and the seconds until its first page."""
    process, lines, seconds = start(data_dir)
    try:
        found = summary(lines)
        stop(process, lines)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=STOP_WITHIN)
    return found, seconds


with tempfile.TemporaryDirectory(prefix="smoke-") as data_dir:
    first, seconds = read_stop(data_dir)
    print(f"   first page after {seconds:.1f} s; market value {first['market_value']} {first['currency']}")
    if seconds > FIRST_PAGE_WITHIN or first["market_value"] in (None, "0"):
        sys.exit("too slow, or nothing is valued")
    second, seconds = read_stop(data_dir)
    if second["market_value"] != first["market_value"]:
        sys.exit(f"a second start shows other data: {second['market_value']}")
    print(f"   second start after {seconds:.1f} s shows the same")
