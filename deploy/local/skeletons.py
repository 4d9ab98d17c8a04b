"""Eight poses of a stick figure as joints in a plane. Nothing is drawn here.

A direction is an angle in degrees: 0 hangs down, 90 points right, 180 up. Lengths are parts of the height of a
standing figure.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Point = tuple[float, float]  # x to the right, y down
Limb = tuple[float, float]  # directions of its upper and its lower half

TORSO, NECK, ARM, LEG = 0.30, 0.05, (0.17, 0.16), (0.24, 0.24)
SHOULDERS, HIPS, HEAD = 0.095, 0.05, 0.085  # half widths, and the radius of the head
WAVER = 0.006  # how far a joint is off: drawn by hand


@dataclass(frozen=True)
class Pose:
    """Arms and legs: right, then left, as the viewer sees them. `width`: 1 from the front, less from the side.

    `turn` lays the whole figure down.
    """

    arms: tuple[Limb, Limb]
    legs: tuple[Limb, Limb]
    torso: float = 180.0
    head: float = 180.0
    width: float = 1.0
    turn: float = 0.0


@dataclass(frozen=True)
class Skeleton:
    """Joints of each part, from the body outwards. The head is a disc of `radius`."""

    torso: tuple[Point, ...]
    arms: tuple[tuple[Point, ...], tuple[Point, ...]]
    legs: tuple[tuple[Point, ...], tuple[Point, ...]]
    head: Point
    radius: float

    def points(self) -> list[Point]:
        return [*self.torso, *self.arms[0], *self.arms[1], *self.legs[0], *self.legs[1], self.head]


def draw_skeleton(rng: np.random.Generator, name: str) -> Skeleton:
    """A figure in the pose `name`: no two have the same build or angles. Mirrored half of the time."""
    pose = POSES[name](rng)
    build = {part: float(rng.uniform(0.9, 1.1)) for part in ("torso", "arm", "leg", "head")}
    neck = _from((0, 0), pose.torso, TORSO * build["torso"])
    aside = _across(pose.torso)
    arms = _pair(neck, aside, SHOULDERS * pose.width, pose.arms, [ARM[0] * build["arm"], ARM[1] * build["arm"]])
    legs = _pair((0, 0), aside, HIPS * pose.width, pose.legs, [LEG[0] * build["leg"], LEG[1] * build["leg"]])
    radius = HEAD * build["head"]
    torso = (arms[1][0], arms[0][0], neck, (0.0, 0.0), legs[1][0], legs[0][0])
    head = _from(neck, pose.head, NECK + radius)
    turn = math.radians(pose.turn + _about(rng, 0, 9))
    mirror = -1 if rng.uniform() < 0.5 else 1
    wide = float(rng.uniform(0.9, 1.05))  # as if seen a little from the side

    def place(point: Point) -> Point:
        x, y = point[0] * wide + rng.normal(0, WAVER), point[1] + rng.normal(0, WAVER)
        return mirror * (x * math.cos(turn) - y * math.sin(turn)), x * math.sin(turn) + y * math.cos(turn)

    return Skeleton(
        tuple(map(place, torso)),
        (tuple(map(place, arms[0])), tuple(map(place, arms[1]))),
        (tuple(map(place, legs[0])), tuple(map(place, legs[1]))),
        place(head),
        radius,
    )


def _standing(rng: np.random.Generator) -> Pose:
    return Pose(_both(rng, (16, 9), (8, 9)), _both(rng, (7, 5), (5, 4)), head=_about(rng, 180, 10))


def _arms_raised(rng: np.random.Generator) -> Pose:
    return Pose(_both(rng, (160, 13), (170, 13)), _both(rng, (7, 5), (5, 4)), head=_about(rng, 180, 8))


def _t_pose(rng: np.random.Generator) -> Pose:
    return Pose(_both(rng, (90, 11), (90, 12)), _both(rng, (7, 5), (5, 4)), head=_about(rng, 180, 8))


def _jumping_jack(rng: np.random.Generator) -> Pose:
    return Pose(_both(rng, (140, 13), (150, 13)), _both(rng, (33, 7), (31, 7)), head=_about(rng, 180, 8))


def _waving(rng: np.random.Generator) -> Pose:
    """One arm goes out and up from the elbow, the other hangs."""
    hanging = _both(rng, (14, 8), (8, 8))[1]
    arm = (_about(rng, 105, 18), _about(rng, 168, 22))
    return Pose((arm, hanging), _both(rng, (7, 5), (5, 4)), head=_about(rng, 180, 10))


def _running(rng: np.random.Generator) -> Pose:
    """From the side, to the right: one knee in front, the other foot behind, elbows bent."""
    thigh, back, arm, swing = _about(rng, 62, 16), _about(rng, -26, 12), _about(rng, 40, 16), _about(rng, -48, 16)
    return Pose(
        arms=((arm, arm + _about(rng, 82, 18)), (swing, swing + _about(rng, 78, 18))),
        legs=((thigh, thigh - _about(rng, 74, 16)), (back, back - _about(rng, 55, 20))),
        torso=_about(rng, 166, 7),
        head=_about(rng, 165, 10),
        width=float(rng.uniform(0.15, 0.45)),
    )


def _sitting(rng: np.random.Generator) -> Pose:
    """From the side, to the right, hands towards the knees."""
    thigh, shin, arm = _about(rng, 84, 9), _about(rng, 2, 11), _about(rng, 28, 13)
    legs = tuple((thigh + _about(rng, 0, 6), shin + _about(rng, 0, 8)) for _ in range(2))
    arms = tuple((arm + _about(rng, 0, 9), arm + 38 + _about(rng, 0, 16)) for _ in range(2))
    return Pose(
        arms=(arms[0], arms[1]),
        legs=(legs[0], legs[1]),
        torso=_about(rng, 181, 9),
        head=_about(rng, 176, 11),
        width=float(rng.uniform(0.1, 0.4)),
    )


def _lying(rng: np.random.Generator) -> Pose:
    """On the ground, arms beside the body or behind the head, a knee sometimes bent."""
    arms = _both(rng, (20, 16), (14, 14)) if rng.uniform() < 0.7 else _both(rng, (160, 14), (168, 14))
    legs = _both(rng, (9, 7), (6, 5))
    if rng.uniform() < 0.35:
        legs = ((_about(rng, 48, 12), _about(rng, -30, 14)), legs[1])
    return Pose(arms, legs, head=_about(rng, 180, 8), width=float(rng.uniform(0.5, 1.0)), turn=_about(rng, 90, 7))


POSES: Mapping[str, Callable[[np.random.Generator], Pose]] = {
    "arms raised": _arms_raised,
    "jumping jack": _jumping_jack,
    "lying": _lying,
    "running": _running,
    "sitting": _sitting,
    "standing": _standing,
    "t-pose": _t_pose,
    "waving": _waving,
}


def _about(rng: np.random.Generator, middle: float, spread: float) -> float:
    return float(rng.uniform(middle - spread, middle + spread))


def _both(rng: np.random.Generator, upper: tuple[float, float], lower: tuple[float, float]) -> tuple[Limb, Limb]:
    """Right and left similar but not equal: each angle is (middle, spread), outwards."""
    right, left = ((_about(rng, *upper), _about(rng, *lower)) for _ in range(2))
    return right, (-left[0], -left[1])


def _from(start: Point, direction: float, length: float) -> Point:
    angle = math.radians(direction)
    return start[0] + length * math.sin(angle), start[1] + length * math.cos(angle)


def _across(torso: float) -> Point:
    """The unit vector to the right of an upright torso."""
    angle = math.radians(torso)
    return -math.cos(angle), math.sin(angle)


def _pair(
    middle: Point, aside: Point, half: float, limbs: tuple[Limb, Limb], lengths: list[float]
) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """Joints of both limbs, which begin `half` to the right and to the left of `middle`."""
    right, left = (
        _chain((middle[0] + side * half * aside[0], middle[1] + side * half * aside[1]), limb, lengths)
        for side, limb in zip((1, -1), limbs, strict=True)
    )
    return right, left


def _chain(start: Point, limb: Limb, lengths: list[float]) -> tuple[Point, ...]:
    middle = _from(start, limb[0], lengths[0])
    return start, middle, _from(middle, limb[1], lengths[1])
