"""The colours of a drawing, light and dark, and the policy that allows its style sheet and nothing else.

Written out twice instead of with variables: viewers that know no variables draw the light one.
"""

import base64
import hashlib
from collections.abc import Mapping

HUES = (  # of the datasets and of what was trained on them: light, dark
    ("#3b6fb6", "#7aa7e8"),
    ("#2f8f5b", "#6cc796"),
    ("#b7791f", "#e0ac55"),
    ("#8a4fbf", "#b98ae6"),
    ("#c2477a", "#ea86ae"),
    ("#22838d", "#66c3cc"),
)
_LIGHT: Mapping[str, str] = {
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
_DARK: Mapping[str, str] = {
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


def _rules(colours: Mapping[str, str], hue: int) -> str:
    drawn = {**colours} | {f".s{n}": f"stroke:{pair[hue]}" for n, pair in enumerate(HUES)}
    drawn |= {f".f{n}": f"fill:{pair[hue]}" for n, pair in enumerate(HUES)}
    return "".join(f"{name}{{{value}}}" for name, value in drawn.items())


def style_sheet(*, light: Mapping[str, str], dark: Mapping[str, str], more: str = "") -> str:
    """`light`, `dark`: further colours, by selector. `more`: rules without colours."""
    return (
        "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}"
        f"path{{fill:none}}a:hover .box{{stroke-width:2}}{more}"
        f"{_rules({**_LIGHT, **light}, 0)}@media(prefers-color-scheme:dark){{{_rules({**_DARK, **dark}, 1)}}}"
    )


def policy_of(style: str) -> str:
    """The Content-Security-Policy that allows this style sheet alone."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    )


STYLE = style_sheet(
    light={},
    dark={},
    more=".gone .box{stroke-dasharray:5 4;fill-opacity:.35}.outside .box{stroke-dasharray:1.5 3;stroke-linecap:round}",
)
CSP = policy_of(STYLE)
