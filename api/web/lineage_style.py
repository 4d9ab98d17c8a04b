"""The colours of a drawn lineage, light and dark, and the policy that allows this style sheet and nothing else.

Written out twice instead of with variables: viewers that know no variables draw the light one.
"""

import base64
import hashlib

HUES = (  # of the datasets and of what was trained on them: light, dark
    ("#3b6fb6", "#7aa7e8"),
    ("#2f8f5b", "#6cc796"),
    ("#b7791f", "#e0ac55"),
    ("#8a4fbf", "#b98ae6"),
    ("#c2477a", "#ea86ae"),
    ("#22838d", "#66c3cc"),
)
_LIGHT = {
    ".paper": "fill:#faf8f5",
    ".box": "fill:#ffffff;stroke:#d5ccc0",
    ".ink": "fill:#1c1a19",
    ".dim": "fill:#6d645c",
    ".bad": "fill:#b3261e",
    ".busy": "fill:#22638d",
    ".line": "stroke:#8b8178",
    ".tip": "fill:#8b8178",
    ".thin": "stroke:#ddd6cc",
    ".lead": "stroke:#c9bfb2",
    ".flag": "fill:#e9e2d8",
    ".chief": "fill:#b3261e",
    ".onchief": "fill:#ffffff",
}
_DARK = {
    ".paper": "fill:#161210",
    ".box": "fill:#221c19;stroke:#4a3e37",
    ".ink": "fill:#eee6df",
    ".dim": "fill:#a89c92",
    ".bad": "fill:#ff8a7e",
    ".busy": "fill:#7cc0ea",
    ".line": "stroke:#9a8e84",
    ".tip": "fill:#9a8e84",
    ".thin": "stroke:#3a2f2a",
    ".lead": "stroke:#5f5149",
    ".flag": "fill:#3a302a",
    ".chief": "fill:#ff6b5e",
    ".onchief": "fill:#1b0d0b",
}


def _rules(colours: dict[str, str], hue: int) -> str:
    drawn = colours | {f".s{n}": f"stroke:{pair[hue]}" for n, pair in enumerate(HUES)}
    drawn |= {f".f{n}": f"fill:{pair[hue]}" for n, pair in enumerate(HUES)}
    return "".join(f"{name}{{{value}}}" for name, value in drawn.items())


STYLE = (
    "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}"
    "path{fill:none}a:hover .box{stroke-width:2}.gone .box{stroke-dasharray:5 4;fill-opacity:.35}"
    ".outside .box{stroke-dasharray:1.5 3;stroke-linecap:round}"
    f"{_rules(_LIGHT, 0)}@media(prefers-color-scheme:dark){{{_rules(_DARK, 1)}}}"
)
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CSP = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
