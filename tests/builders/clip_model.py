"""A small CLIP model with random weights and a tokenizer of single bytes."""

import json
import os
from pathlib import Path

WIDTH, SIDE = 32, 32


def make_clip(folder: Path, *, seed: int = 0) -> Path:
    """Writes what a weights folder has: config.json, model.safetensors, preprocessor_config.json, tokenizer files."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / ".cache")}
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    folder.mkdir(parents=True, exist_ok=True)
    words = write_tokenizer(folder)
    tower = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": words - 2, "eos_token_id": words - 1, "pad_token_id": words - 1}
    torch.manual_seed(seed)
    config = CLIPConfig(
        text_config={**tower, **ends, "vocab_size": words, "max_position_embeddings": 48, "projection_dim": 16},
        vision_config={**tower, "image_size": SIDE, "patch_size": 8, "projection_dim": 16},
        projection_dim=16,
    )
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def write_tokenizer(folder: Path) -> int:
    """The tokenizer of CLIP without merges: each byte is a token. Returns the size of its vocabulary."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocab = {word: index for index, word in enumerate(words)}
    CLIPTokenizer(vocab=vocab, merges=[], model_max_length=48).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return len(words)
