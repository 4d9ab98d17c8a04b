"""The Trainer of transformers, quiet, and with two of its faults avoided."""

import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import Trainer, TrainingArguments

from pipeline.params.vit import VitParams
from pipeline.trainers.vit.models import load_model

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
warnings.filterwarnings("ignore", message=".*pin_memory.*")  # meaningless on a CPU

# The files that a resumed run needs, none of them a pickle unless read with weights_only. `training_args.bin`, which is
# a pickle, is not needed.
STATE_FILES = (
    "model.safetensors",
    "config.json",
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "trainer_state.json",
    "preprocessor_config.json",
)
SCALER_FILE = "scaler.pt"  # of half precision without bfloat16 only


class ExactTrainer(Trainer):  # type: ignore[misc]
    """Restores every weight when a run is resumed.

    transformers 5.23 loads with `strict=False` under the names in the file, which are not those of the model: for ViT,
    Swin and DINOv2 all layers silently keep their initial weights (issue 43701). Its `load_best_model_at_end` does the
    same and is not used: the best weights are kept in a file by `fit_vit`.
    """

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        into = self.accelerator.unwrap_model(model or self.model)
        into.load_state_dict(load_model(Path(resume_from_checkpoint)).state_dict(), strict=True)

    def _load_best_model(self) -> None:
        raise NotImplementedError("the best weights are kept by fit_vit")


def arguments(params: VitParams, work: Path, *, lr: float) -> TrainingArguments:
    """VitParams as TrainingArguments: evaluated and saved at the end of each epoch."""
    cuda = torch.cuda.is_available() and params.device != "cpu"
    bf16 = cuda and params.half and torch.cuda.is_bf16_supported()
    return TrainingArguments(
        output_dir=str(work),
        num_train_epochs=params.epochs,
        per_device_train_batch_size=params.batch,
        per_device_eval_batch_size=2 * params.batch,  # without gradients twice the batch fits
        learning_rate=lr,
        lr_scheduler_type=params.scheduler if params.scheduler != "constant" else "constant_with_warmup",
        warmup_steps=params.warmup,  # below 1 it is a share of the steps
        weight_decay=params.weight_decay,
        bf16=bf16,
        fp16=cuda and params.half and not bf16,
        use_cpu=params.device == "cpu" or not (cuda or torch.backends.mps.is_available()),
        dataloader_num_workers=params.workers if cuda else 0,
        dataloader_pin_memory=cuda,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=False,
        logging_nan_inf_filter=False,  # it hides a training that diverged
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
        seed=params.seed,
    )
