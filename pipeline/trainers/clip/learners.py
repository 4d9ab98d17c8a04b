"""The two ways in which CLIP learns: a head on what the frozen image tower sees, or that tower itself."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import cross_entropy

from pipeline.params.clip import ClipParams
from pipeline.trainers.classifier.data import Tree
from pipeline.trainers.classifier.tensors import Augmented, Processed, collate, input_side
from pipeline.trainers.clip.models import Clip, embed_images, prompt_head

LARGEST_SCALE = math.log(100)  # of logits, as CLIP bounds it (2021, 2.5)
FEATURES = "features.safetensors"

Check = Callable[[], None]


class Learner(Protocol):
    """`trained`: what the optimizer changes, by name; all of it on one device. `steps` of one epoch."""

    trained: dict[str, nn.Parameter]
    steps: int

    def prepare(self, check: Check) -> None:
        """Before the first epoch; again: nothing is done."""

    def losses(self, epoch: int) -> Iterator[torch.Tensor]:
        """The loss of each batch; the caller takes a step before it asks for the next. Same epoch, same batches."""

    def judge(self, check: Check) -> torch.Tensor:
        """Logits (N, classes) of the validation split."""

    def head(self) -> dict[str, torch.Tensor]:
        """What is published beside the towers; see `models.Classifier`."""


class Seen:
    """What the image tower sees, looked at once for each split: (N, width), rows of length 1, on the CPU."""

    def __init__(self, clip: Clip, tree: Tree, *, batch: int, device: torch.device) -> None:
        self._clip, self._tree, self._batch, self._device = clip, tree, batch, device
        self._known: dict[str, torch.Tensor] = {}

    def of(self, split: str, check: Check) -> torch.Tensor:
        if split not in self._known:
            self._known[split] = self._look(split, check)
        return self._known[split]

    def save(self, path: Path) -> None:
        save_file(self._known, path)

    def read(self, path: Path) -> None:
        """What `save` wrote."""
        self._known = load_file(path)

    def _look(self, split: str, check: Check) -> torch.Tensor:
        model, data = (
            self._clip.model.to(self._device).eval(),
            Processed(self._tree.splits[split], self._clip.processor),
        )
        rows = []
        for start in range(0, len(data), self._batch):
            check()
            batch = collate([data[index] for index in range(start, min(start + self._batch, len(data)))])
            with torch.no_grad():
                rows.append(embed_images(model, batch["pixel_values"].to(self._device)).cpu())
        return torch.cat(rows)


class Probe:
    """Logistic regression on standardised features, from nothing: the prompts play no part."""

    def __init__(self, seen: Seen, tree: Tree, params: ClipParams, *, kept: Path) -> None:
        self._seen, self._params, self._kept = seen, params, kept
        self._classes, self._labels = len(tree.classes), torch.tensor(tree.splits["train"].labels)
        self.steps = math.ceil(len(self._labels) / params.batch)
        self.trained: dict[str, nn.Parameter] = {}

    def prepare(self, check: Check) -> None:
        if self._kept.is_file():
            self._seen.read(self._kept)  # of a run that went before: nothing is looked at twice
        train = self._seen.of("train", check)
        self._seen.of("val", check)
        self._seen.save(self._kept)
        self.trained = self.trained or {
            "weight": nn.Parameter(torch.zeros(self._classes, train.shape[1])),
            "bias": nn.Parameter(torch.zeros(self._classes)),
        }

    def losses(self, epoch: int) -> Iterator[torch.Tensor]:
        features = self._standardised(self._seen.of("train", _nothing))
        for rows in shuffled(len(features), self._params.batch, seed=self._params.seed, epoch=epoch):
            yield cross_entropy(self._logits(features[rows]), self._labels[rows])

    def judge(self, check: Check) -> torch.Tensor:
        with torch.no_grad():
            return self._logits(self._standardised(self._seen.of("val", check)))

    def head(self) -> dict[str, torch.Tensor]:
        """For features as they are: the standardisation is folded in."""
        mean, spread = self._moments()
        weight, bias = self.trained["weight"].detach(), self.trained["bias"].detach()
        folded = weight / spread
        return {"weight": folded.contiguous(), "bias": bias - folded @ mean}

    def _logits(self, features: torch.Tensor) -> torch.Tensor:
        return features @ self.trained["weight"].T + self.trained["bias"]

    def _standardised(self, features: torch.Tensor) -> torch.Tensor:
        mean, spread = self._moments()
        return (features - mean) / spread

    def _moments(self) -> tuple[torch.Tensor, torch.Tensor]:
        train = self._seen.of("train", _nothing)
        # 1e-4: features have a length of 1; one that never changes is left at nothing
        return train.mean(dim=0), train.std(dim=0, unbiased=False).clamp_min(1e-4)


class Tower:
    """The image tower learns to put each image where the prompts of its class lie; these stay where they are.

    Cross-entropy over the classes, and not the contrast within a batch that CLIP was trained with: there, with few
    classes, most of the "wrong" captions of a batch would be right ones.
    """

    def __init__(
        self, clip: Clip, embedded: torch.Tensor, tree: Tree, params: ClipParams, *, device: torch.device
    ) -> None:
        self._clip, self._tree, self._params, self._device = clip, tree, params, device
        self._embedded = embedded.to(device)
        side = input_side(clip.processor)
        self._data = Augmented(
            tree.splits["train"], clip.processor, side=side, crop=params.crop, fliplr=params.fliplr, seed=params.seed
        )
        self.steps = math.ceil(len(self._data) / params.batch)
        model = clip.model.to(device).requires_grad_(False)
        for part in (model.vision_model, model.visual_projection):
            part.requires_grad_(True)
        model.logit_scale.requires_grad_(True)
        self.frozen = _freeze(model.vision_model, params.freeze_layers)
        self.trained = {name: value for name, value in model.named_parameters() if value.requires_grad}

    def prepare(self, check: Check) -> None:
        check()

    def losses(self, epoch: int) -> Iterator[torch.Tensor]:
        model = self._clip.model.train()
        self._data.set_epoch(epoch)
        batches = shuffled(len(self._data), self._params.batch, seed=self._params.seed, epoch=epoch)
        cuda = self._device.type == "cuda"
        loader: Any = torch.utils.data.DataLoader(
            self._data,
            batch_sampler=[rows.tolist() for rows in batches],
            collate_fn=collate,
            num_workers=self._params.workers if cuda else 0,
            pin_memory=cuda,
        )
        for batch in loader:
            labels = batch["labels"].to(self._device)
            yield cross_entropy(self._logits(batch["pixel_values"].to(self._device)), labels)
            with torch.no_grad():
                model.logit_scale.clamp_(max=LARGEST_SCALE)

    def judge(self, check: Check) -> torch.Tensor:
        model, data = self._clip.model.eval(), Processed(self._tree.splits["val"], self._clip.processor)
        rows, batch = [], 2 * self._params.batch  # no gradients are kept
        for start in range(0, len(data), batch):
            check()
            items = collate([data[index] for index in range(start, min(start + batch, len(data)))])
            with torch.no_grad():
                rows.append(self._logits(items["pixel_values"].to(self._device)).cpu())
        model.train()
        return torch.cat(rows)

    def head(self) -> dict[str, torch.Tensor]:
        return prompt_head(self._clip.model, self._embedded)

    def _logits(self, pixel_values: torch.Tensor) -> torch.Tensor:
        model, cuda = self._clip.model, self._device.type == "cuda"
        half = cuda and self._params.half and torch.cuda.is_bf16_supported()
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=half):
            images = embed_images(model, pixel_values)
        return model.logit_scale.exp() * (images.float() @ self._embedded.T)


def shuffled(count: int, batch: int, *, seed: int, epoch: int) -> list[torch.Tensor]:
    """The rows of each batch; they depend on seed and epoch alone: a resumed run takes the same."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
    return list(order.split(batch))


def _freeze(tower: Any, layers: int) -> int:
    """Keep the embeddings and the first `layers` layers. Returns how many layers were kept."""
    if not layers:
        return 0
    kept = list(tower.encoder.layers)[:layers]
    for part in (tower.embeddings, tower.pre_layrnorm, *kept):
        part.requires_grad_(False)
    return len(kept)


def _nothing() -> None:
    """All splits are known by now."""
