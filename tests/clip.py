"""A CLIP model of a few numbers, randomly initialised, as `save_pretrained` writes one."""

from pathlib import Path

WIDTH, SIDE, LENGTH, DIMENSIONS = 16, 32, 24, 8


def save_tiny_clip(folder: Path, seed: int = 0) -> Path:
    """Model, image processor and a tokenizer that knows single letters."""
    import torch
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.utils import logging

    logging.disable_progress_bar()
    letters = [chr(code) for code in range(33, 127)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    sides = {"hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"vocab_size": len(tokens), "max_position_embeddings": LENGTH, "bos_token_id": len(tokens) - 2}
    torch.manual_seed(seed)
    config = CLIPConfig(
        text_config={**sides, **text, "eos_token_id": len(tokens) - 1, "projection_dim": DIMENSIONS},
        vision_config={**sides, "image_size": SIDE, "patch_size": 16, "projection_dim": DIMENSIONS},
        projection_dim=DIMENSIONS,
    )
    CLIPModel(config).save_pretrained(folder)
    CLIPTokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=[]).save_pretrained(folder)
    size = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    CLIPImageProcessorPil(**size).save_pretrained(folder)
    return folder
