"""What to do with a version: predict with it where one of its exports passed, and otherwise what works instead."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from darkroom.schemas import ExportList

INDENT = "\n      "


def next_steps(exports: "ExportList") -> str:
    """`exports`: those of the version, by which alone predictions are answered."""
    name = exports.name
    if any(each.passed for each in exports.items):
        return f"Next: darkroom predict {name} IMAGE"
    if exports.waiting:
        return f"Next: darkroom export {name}   (waits for its ONNX, which answers predictions)"
    weights = f"darkroom download {name}   (its weights, which PyTorch reads)"
    if exports.items:
        reason = " ".join(exports.items[0].reasons)
        why = f"No prediction is answered by {name}: its ONNX did not pass its certificate. {reason}"
        further = f"darkroom train {exports.project} --model {name} --watch   (goes on from it)"
        return f"{why}\nNext: {further}{INDENT}{weights}"
    if exports.failed:
        problem = exports.failed[0].problem
        why = f"No prediction is answered by {name}: its export failed. {problem.detail if problem else ''}".rstrip()
        return f"{why}\nNext: darkroom export {name}   (tries it again){INDENT}{weights}"
    return f"Next: darkroom export {name}   (makes its ONNX, which answers predictions)"
