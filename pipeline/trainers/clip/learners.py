"""The two ways to train CLIP: a linear head on features of the frozen image tower, or that tower itself."""

import math
from collections.abc import Callable, Iterator, Mapping
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

MAX_LOG_SCALE = math.log(100)  # of logits, as CLIP bounds it (2021, 2.5)
FEATURES = "features.safetensors"

RaiseIfCancelled = Callable[[], None]


class Learner(Protocol):
    """`trained`: the parameters that the optimizer changes, by name, on one device. `steps` of one epoch."""

    trained: dict[str, nn.Parameter]
    steps: int

    def prepare(self, raise_if_cancelled: RaiseIfCancelled) -> None:
        """Called before the first epoch; a second call does nothing."""

    def losses(self, epoch: int) -> Iterator[torch.Tensor]:
        """The loss of each batch; the caller takes a step after each. The same epoch has the same batches."""

    def predict(self, raise_if_cancelled: RaiseIfCancelled) -> torch.Tensor:
        """Logits (N, classes) of the validation split."""

    def head(self) -> dict[str, torch.Tensor]:
        """The published head; see `models.ClipClassifier`."""


class ImageFeatures:
    """The embeddings of all images by the image tower, computed once per split: (N, width), rows of norm 1, CPU."""

    def __init__(self, clip: Clip, tree: Tree, *, batch: int, device: torch.device) -> None:
        self._clip, self._tree, self._batch, self._device = clip, tree, batch, device
        self._by_split: dict[str, torch.Tensor] = {}

    def of(self, split: str, raise_if_cancelled: RaiseIfCancelled) -> torch.Tensor:
        if split not in self._by_split:
            self._by_split[split] = self._embed(split, raise_if_cancelled)
        return self._by_split[split]

    def save(self, path: Path) -> None:
        save_file(self._by_split, path)

    def read(self, path: Path) -> None:
        """Reads a file of `save`."""
        self._by_split = load_file(path)

    def _embed(self, split: str, raise_if_cancelled: RaiseIfCancelled) -> torch.Tensor:
        model = self._clip.model.to(self._device).eval()
        data = Processed(self._tree.splits[split], self._clip.processor)
        rows = []
        for start in range(0, len(data), self._batch):
            raise_if_cancelled()
            batch = collate([data[index] for index in range(start, min(start + self._batch, len(data)))])
            with torch.no_grad():
                rows.append(embed_images(model, batch["pixel_values"].to(self._device)).cpu())
        return torch.cat(rows)


class LinearProbe:
    """Logistic regression on standardised features: the prompts are not used. From zero weights, or from `start`: a
    head for features that are not standardised."""

    def __init__(
        self,
        features: ImageFeatures,
        tree: Tree,
        params: ClipParams,
        *,
        cache: Path,
        start: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        self._features, self._params, self._cache, self._start = features, params, cache, start
        self._classes, self._labels = len(tree.classes), torch.tensor(tree.splits["train"].labels)
        self.steps = math.ceil(len(self._labels) / params.batch)
        self.trained: dict[str, nn.Parameter] = {}

    def prepare(self, raise_if_cancelled: RaiseIfCancelled) -> None:
        if self._cache.is_file():
            self._features.read(self._cache)  # of the attempt before: no image is embedded twice
        train = self._features.of("train", raise_if_cancelled)
        self._features.of("val", raise_if_cancelled)
        self._features.save(self._cache)
        self.trained = self.trained or self._first(width=train.shape[1])

    def losses(self, epoch: int) -> Iterator[torch.Tensor]:
        features = self._standardised(self._features.of("train", _no_check))
        for rows in shuffled(len(features), self._params.batch, seed=self._params.seed, epoch=epoch):
            yield cross_entropy(self._logits(features[rows]), self._labels[rows])

    def predict(self, raise_if_cancelled: RaiseIfCancelled) -> torch.Tensor:
        with torch.no_grad():
            return self._logits(self._standardised(self._features.of("val", raise_if_cancelled)))

    def head(self) -> dict[str, torch.Tensor]:
        """The head for features that are not standardised: the standardisation is folded into it."""
        mean, spread = self._moments()
        weight, bias = self.trained["weight"].detach(), self.trained["bias"].detach()
        folded = weight / spread
        return {"weight": folded.contiguous(), "bias": bias - folded @ mean}

    def _first(self, *, width: int) -> dict[str, nn.Parameter]:
        weight, bias = torch.zeros(self._classes, width), torch.zeros(self._classes)
        if self._start is not None:  # the reverse of `head`
            mean, spread = self._moments()
            weight, bias = self._start["weight"] * spread, self._start["bias"] + self._start["weight"] @ mean
        return {"weight": nn.Parameter(weight), "bias": nn.Parameter(bias)}

    def _logits(self, features: torch.Tensor) -> torch.Tensor:
        return features @ self.trained["weight"].T + self.trained["bias"]

    def _standardised(self, features: torch.Tensor) -> torch.Tensor:
        mean, spread = self._moments()
        return (features - mean) / spread

    def _moments(self) -> tuple[torch.Tensor, torch.Tensor]:
        train = self._features.of("train", _no_check)
        # 1e-4: embeddings have a norm of 1; a constant feature becomes zero
        return train.mean(dim=0), train.std(dim=0, unbiased=False).clamp_min(1e-4)


class FineTune:
    """Trains the image tower towards the embeddings of the prompts, which are fixed.

    The loss is cross-entropy over the classes, not the contrastive loss within a batch that CLIP was trained with: with
    few classes, most of the "wrong" captions of a batch would be right.
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

    def prepare(self, raise_if_cancelled: RaiseIfCancelled) -> None:
        raise_if_cancelled()

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
                model.logit_scale.clamp_(max=MAX_LOG_SCALE)

    def predict(self, raise_if_cancelled: RaiseIfCancelled) -> torch.Tensor:
        model, data = self._clip.model.eval(), Processed(self._tree.splits["val"], self._clip.processor)
        rows, batch = [], 2 * self._params.batch  # without gradients twice the batch fits
        for start in range(0, len(data), batch):
            raise_if_cancelled()
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
    """The rows of each batch; they depend on seed and epoch alone, so that a resumed run repeats them."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
    return list(order.split(batch))


def _freeze(tower: Any, layers: int) -> int:
    """Freezes the embeddings and the first `layers` layers. Returns the number of frozen layers."""
    if not layers:
        return 0
    frozen = list(tower.encoder.layers)[:layers]
    for part in (tower.embeddings, tower.pre_layrnorm, *frozen):
        part.requires_grad_(False)
    return len(frozen)


def _no_check() -> None:
    """For features that are already computed."""
