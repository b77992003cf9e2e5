"""Charts drawn on the server: SVG made by a worker, kept by the hash of its specification.

Drawing needs about 200 MB in the process that does it, so the web process never draws. On a miss it asks a
worker and waits a moment; if the picture is late the page goes out with its data table and live chart,
and the next visit finds it.
"""

import hashlib
import json
import time
from collections.abc import Iterable

from celery import shared_task
from django.core.cache import cache
from kombu.exceptions import OperationalError

from stackmotive.common.charts import Spec

KEEP = 24 * 3600
WAITING = 30
PATIENCE = 1.5
STEP = 0.03


def chart_key(spec: Spec) -> str:
    content = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def draw_svg(spec: Spec) -> str:
    """`spec` as an SVG element. Ids are made unique to the picture, so that several can stand in one page."""
    import vl_convert  # 84 MB of drawing engine: loaded only where something is drawn

    svg: str = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    return svg.replace("gradient_", f"g{chart_key(spec)[:8]}_")


@shared_task(name="stackmotive.draw_chart", ignore_result=True, soft_time_limit=20)  # type: ignore[untyped-decorator,unused-ignore]
def draw_chart(key: str) -> None:
    """Draw the spec that waits under `key`. Only the key travels and is logged: a spec holds its user's figures."""
    spec = cache.get(f"chart-spec:{key}")
    if spec is not None:
        cache.set(f"chart:{key}", draw_svg(spec), KEEP)


def chart_images(specs: list[Spec], *, patience: float = PATIENCE) -> list[str]:
    """The SVG of each spec, "" for one that is not drawn within `patience` seconds for all together."""
    keys = [chart_key(spec) for spec in specs]
    drawn = known_images(keys)
    missing = {key: spec for key, spec in zip(keys, specs, strict=True) if key not in drawn}
    try:
        for key, spec in missing.items():
            cache.set(f"chart-spec:{key}", spec, WAITING)
            draw_chart.apply_async((key,), expires=WAITING)
    except OperationalError:  # no broker: the page still has its table and the live chart
        return [drawn.get(key, "") for key in keys]
    until = time.monotonic() + patience
    while missing.keys() - drawn.keys() and time.monotonic() < until:
        time.sleep(STEP)
        drawn |= known_images(missing)
    return [drawn.get(key, "") for key in keys]


def known_images(keys: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = cache.get_many([f"chart:{key}" for key in keys])
    return {key.removeprefix("chart:"): svg for key, svg in found.items()}
