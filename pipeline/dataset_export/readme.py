"""README.md of an export: what it is of, how it is used, and what the format could not keep."""

from typing import Any, NamedTuple

from pipeline.archive.plural import counted
from pipeline.dataset.model import SPLITS
from pipeline.dataset_export.source import ExportSource
from pipeline.params.dataset_exports import EXPORT_FORMATS

README = "README.md"


class Readme(NamedTuple):
    """`use`: Markdown; `front`: the YAML before it, as the hub reads it; `classes`: where they have other names."""

    use: str
    front: str = ""
    classes: list[str] | None = None


def readme_text(source: ExportSource, name: str, written: Readme, losses: list[dict[str, Any]]) -> str:
    counts = {split: 0 for split in SPLITS}
    for split in source.splits.values():
        counts[split] += 1
    parts = ", ".join(f"{split} {count}" for split, count in counts.items() if count)
    front = f"---\n{written.front}---\n\n" if written.front else ""
    lost = "".join(f"- `{each['code']}` ({each['count']}): {each['detail']}\n" for each in losses) or "Nothing.\n"
    return (
        f"{front}# Dataset in the format {EXPORT_FORMATS[name].title}\n\n"
        f"{counted(source.count, 'image')} ({parts}), {counted(len(source.classes), 'class', 'classes')}, "
        f"for {source.kind}.\n\n"
        f"- fingerprint: `{source.fingerprint}`\n- content fingerprint: `{source.content_fingerprint}`\n\n"
        f"## Use\n\n{written.use}\n\n## What this format could not keep\n\n{lost}"
    )
