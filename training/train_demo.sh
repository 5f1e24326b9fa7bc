#!/usr/bin/env bash
# Train the demo's policy: a small v2 on standard scenes, 30 to 40 minutes on two CPU cores.
# Usage: training/train_demo.sh DATASET OUTPUT [FLAG...]; later flags win, e.g. --steps=600.
set -euo pipefail
cd "$(dirname "$0")/.."
dataset=${1:-outputs/demos/standard}
output=${2:-outputs/train/twin_v2}
shift $(($# < 2 ? $# : 2))
flags=(
  --policy.type=prana_v2 --policy.device=cpu
  --policy.backbone=small_cnn --policy.freeze_backbone=false --policy.backbone_per_camera=true
  --policy.optimizer_backbone_lr_factor=1 --policy.image_size=96
  --policy.random_shift_pixels='{observation.images.table: 1, observation.images.wrist: 3}'
  --policy.random_crop={} --policy.random_rotation={} --policy.color_jitter={}
  --policy.dim=128 --policy.num_context_layers=2 --policy.num_decoder_layers=3
  --policy.chunk_size=16 --policy.n_action_steps=16 --policy.flow_samples_per_context=4
  --policy.optimizer_lr=8e-4 --policy.scheduler_warmup_steps=200
  --dataset.repo_id=local/standard --dataset.root="$dataset"
  --batch_size=32 --steps=4900 --save_freq=1000 --log_freq=50
  --output_dir="$output"
)
exec "${PYTHON:-.venv/bin/python}" training/train.py "${flags[@]}" "$@"
