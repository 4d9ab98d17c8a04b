"""The script that a user of transformers' Trainer writes: `python -m benchmarks.bare_vit FOLDER TREE PARAMS`.

The settings of `pipeline.trainers.vit` (optimizer, schedule, augmentation, evaluation and saving after each epoch, the
best model of all), on the same prepared dataset, and at the end the same evaluation: that model on val and on test.

The scores that it prints are wrong: `load_best_model_at_end` of transformers 5.23 leaves the layers of a ViT at their
initial values (issue 43701 of transformers). The time is the same.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pipeline.process.huggingface_env import go_offline


def main(folder: Path, tree: Path, params: dict[str, Any]) -> None:
    go_offline(folder / "config")  # the environment of the child process
    import numpy as np
    import torch
    from datasets import load_from_disk
    from torchvision import transforms
    from transformers import (
        AutoModelForImageClassification,
        PrinterCallback,
        Trainer,
        TrainingArguments,
        ViTConfig,
        ViTImageProcessor,
        set_seed,
    )

    side = 64
    data = load_from_disk(str(tree / "data"))
    names = data["train"].features["label"].names
    processor = ViTImageProcessor(size={"height": side, "width": side})
    augment = transforms.Compose(
        [
            transforms.RandomResizedCrop(side, scale=(params["crop"], 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(processor.image_mean, processor.image_std),
        ]
    )

    def train_batch(rows: Any) -> Any:
        pixels = [augment(image.convert("RGB")) for image in rows["image"]]
        return {"pixel_values": pixels, "labels": rows["label"]}

    def eval_batch(rows: Any) -> Any:
        images = [image.convert("RGB") for image in rows["image"]]
        return {**processor(images, return_tensors="pt"), "labels": rows["label"]}

    def accuracy(evaluation: Any) -> dict[str, float]:
        return {"accuracy": float((evaluation.predictions.argmax(axis=1) == evaluation.label_ids).mean())}

    def collate(rows: Any) -> Any:
        pixels = torch.stack([row["pixel_values"] for row in rows])
        return {"pixel_values": pixels, "labels": torch.tensor([row["labels"] for row in rows])}

    set_seed(params["seed"])
    hidden, layers, heads = 128, 6, 4  # vit-tiny-scratch
    config = ViTConfig(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        patch_size=8,
        image_size=side,
        initializer_range=hidden**-0.5,
        num_labels=len(names),
    )
    trainer = Trainer(
        model=AutoModelForImageClassification.from_config(config),
        args=TrainingArguments(
            output_dir=str(folder / "work"),
            num_train_epochs=params["epochs"],
            per_device_train_batch_size=params["batch"],
            per_device_eval_batch_size=2 * params["batch"],
            learning_rate=params["lr"],
            lr_scheduler_type="cosine",
            warmup_steps=0.1,
            weight_decay=0.01,
            use_cpu=True,
            dataloader_pin_memory=False,
            eval_strategy="epoch",
            save_strategy="epoch",
            logging_strategy="epoch",
            save_total_limit=1,
            load_best_model_at_end=True,
            metric_for_best_model="accuracy",
            remove_unused_columns=False,
            report_to="none",
            disable_tqdm=True,
            seed=params["seed"],
        ),
        train_dataset=data["train"].with_transform(train_batch),
        eval_dataset=data["validation"].with_transform(eval_batch),
        data_collator=collate,
        processing_class=processor,
        compute_metrics=accuracy,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    scores = {}
    for split in ("validation", "test"):
        predicted = trainer.predict(data[split].with_transform(eval_batch))
        scores[split] = round(float(np.mean(predicted.predictions.argmax(axis=1) == predicted.label_ids)), 4)
    trainer.save_model(str(folder / "model"))
    sys.stdout.write(f"{json.dumps(scores)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
