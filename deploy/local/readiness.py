"""Whether every part of a stack answers, and what `make up` prints then."""

from collections.abc import Sequence

import httpx

READY_SECONDS = 90.0  # MLflow's first start makes its tables: 6 s here, more on a busy machine
PROBE_SECONDS = 5.0


def open_probe() -> httpx.Client:
    """One for all polls: to make a client takes 20 ms of processor time, which the parts need while they start."""
    return httpx.Client(timeout=PROBE_SECONDS, trust_env=False)


def why_not_ready(probe: httpx.Client, *, api_url: str, serving_urls: Sequence[str]) -> str:
    """What does not answer or is reported as not ok; an empty string when everything is."""
    try:
        checks = probe.get(f"{api_url}/ready").json().get("checks", {})
    except (httpx.HTTPError, ValueError):
        return "the API does not answer"
    missing = [f"{name}: {check['state']}" for name, check in checks.items() if check["state"] != "ok"]
    missing += [f"serving at {url}: not ready" for url in serving_urls if not _is_ready(probe, url)]
    return ", ".join(missing)


def _is_ready(probe: httpx.Client, serving_url: str) -> bool:
    try:
        return probe.get(f"{serving_url}/ready").is_success
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


def ready_message(addresses: Sequence[tuple[str, str]], *, degraded: str, notes: Sequence[str]) -> str:
    """`addresses`: names and where they are. `degraded`: what `why_not_ready` answered last."""
    lines = [
        "Darkroom is ready." if not degraded else f"Darkroom is up, but some parts are not ready ({degraded}).",
        "",
        *(f"  {name:<12} {address}" for name, address in addresses),
        "",
        *(line for note in notes for line in (note, "")),
        "Press Ctrl-C to stop everything.",
    ]
    width = max(map(len, lines)) + 2
    return "\n".join(
        ["", "╭" + "─" * width + "╮", *(f"│ {line:<{width - 2}} │" for line in lines), "╰" + "─" * width + "╯"]
    )
