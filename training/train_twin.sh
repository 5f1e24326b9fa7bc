#!/usr/bin/env bash
# Train a small policy for the twin, each kind on the same demonstrations and the same number of samples.
# Usage: training/train_twin.sh prana_v2|prana_v1|act|diffusion [DATASET [OUTPUT [FLAG...]]]; later flags win.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:-prana_v2}
dataset=${2:-outputs/demos/both}
output=${3:-outputs/train/twin_$kind}
shift $(($# < 3 ? $# : 3))

prana=(
  --policy.backbone=small_cnn --policy.freeze_backbone=false --policy.backbone_per_camera=true
  --policy.optimizer_backbone_lr_factor=1 --policy.image_size=96
  --policy.random_shift_pixels='{observation.images.table: 1, observation.images.wrist: 3}'
  --policy.random_crop={} --policy.random_rotation={} --policy.color_jitter={}
  --policy.dim=128 --policy.chunk_size=16 --policy.n_action_steps=16
  --policy.optimizer_lr=8e-4 --policy.scheduler_warmup_steps=200
)
lerobots=(--frame_cache_size=96 --policy.vision_backbone=resnet_small_cnn)
case $kind in
  prana_v1) own=("${prana[@]}" --policy.num_encoder_layers=5) ;;
  prana_v2) own=(
    "${prana[@]}" --policy.num_context_layers=2 --policy.num_decoder_layers=3 --policy.flow_samples_per_context=4
    --policy.noise_scale=0.5
  ) ;;
  act) own=(
    "${lerobots[@]}" --policy.pretrained_backbone_weights=null --policy.chunk_size=16 --policy.n_action_steps=16
    --policy.dim_model=128 --policy.n_heads=4 --policy.dim_feedforward=512
    --use_policy_training_preset=false --optimizer.type=adamw --optimizer.lr=4e-4
    --scheduler.type=diffuser --scheduler.name=cosine --scheduler.num_warmup_steps=200
  ) ;;
  diffusion) own=(
    "${lerobots[@]}" --policy.use_separate_rgb_encoder_per_camera=true --policy.crop_shape='[88,88]'
    --policy.horizon=16 --policy.n_action_steps=8 --policy.down_dims='[40,80,160]' --policy.diffusion_step_embed_dim=64
    --policy.noise_scheduler_type=DDIM --policy.num_inference_steps=10
    --policy.optimizer_lr=4e-4 --policy.scheduler_warmup_steps=200
  ) ;;
  *) echo "train_twin.sh: unknown policy '$kind'; allowed: prana_v2, prana_v1, act, diffusion" >&2; exit 2 ;;
esac
exec "${PYTHON:-.venv/bin/python}" training/train.py --policy.type="$kind" --policy.device=cpu "${own[@]}" \
  --dataset.repo_id=local/both --dataset.root="$dataset" --mixed_precision=bf16 \
  --batch_size=32 --steps=10000 --save_freq=2000 --log_freq=50 --output_dir="$output" "$@"
