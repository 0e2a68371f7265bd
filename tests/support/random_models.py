"""Diffusion models of a few thousand random weights, in folders as diffusers writes them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tasks.refine.diffusion.config import StableDiffusion
from tasks.refine.third_party import of_stable_diffusion
from tasks.runtime.context import Context
from tasks.runtime.trust import Trust

WORDS = 8
CARD = "---\nlicense: {licence}\n---\nA model of random weights.\n"


def trusting(*configs: object, context: Context = Context()) -> Context:
    """A context that lets the models of these configs be loaded."""
    models = [
        model.address
        for config in configs
        if isinstance(config, StableDiffusion)
        for model in of_stable_diffusion(config)
    ]
    return replace(context, trust=Trust(models=frozenset(models)))


def unet_and(seed: int) -> Any:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    torch.manual_seed(seed)
    return UNet2DConditionModel(
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=WORDS,
        attention_head_dim=2,
        norm_num_groups=4,
    )


def write_controlnet(folder: Path, *, channels: int = 3, seed: int = 1) -> str:
    from diffusers.models.controlnets.controlnet import ControlNetModel

    controlnet = ControlNetModel.from_unet(
        unet_and(seed),
        conditioning_channels=channels,
        conditioning_embedding_out_channels=(8, 8),
    )
    torch.manual_seed(seed)
    for module in (*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block):
        torch.nn.init.normal_(module.weight)  # they begin as zeros, and would change nothing
    torch.nn.init.normal_(controlnet.controlnet_cond_embedding.conv_out.weight)
    controlnet.save_pretrained(folder)
    return str(folder)


def reader(folder: Path) -> dict[str, Any]:
    """A text encoder of random weights, and a tokenizer that knows letters."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = [chr(ord("a") + index) for index in range(26)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({word: at for at, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    torch.manual_seed(4)
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=WORDS,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=16,
            bos_token_id=len(words) - 2,
            eos_token_id=len(words) - 1,
        )
    )
    tokenizer = CLIPTokenizer.from_pretrained(folder, model_max_length=16)
    return {"text_encoder": encoder, "tokenizer": tokenizer}


def write_stable_diffusion(
    folder: Path, *, licence: str = "", prediction: str = "epsilon", reads: bool = False
) -> str:
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import (
        StableDiffusionPipeline,
    )
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    unet = unet_and(0)
    torch.manual_seed(2)
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
        latent_channels=4,
    )
    StableDiffusionPipeline(
        vae=vae,
        **(reader(folder / "letters") if reads else {"text_encoder": None, "tokenizer": None}),
        unet=unet,
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear", prediction_type=prediction, clip_sample=False
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    if licence:
        (folder / "README.md").write_text(CARD.format(licence=licence))
    return str(folder)
