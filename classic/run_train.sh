#!/bin/sh
# Train a teacher: MacBERT on the reviews of a data folder.
set -eu
cd "$(dirname "$0")"

MODEL_DIR=${MODEL_DIR:-mac_bert_model}
DATA_ROOT_DIR=${DATA_ROOT_DIR:-data_root_dir}
OUTPUT_ROOT_DIR=${OUTPUT_ROOT_DIR:-output_root_dir}
TASK=${TASK:-cosmetics}

python main.trainer.py \
    --vocab_file "$MODEL_DIR/vocab.txt" \
    --data_dir "$DATA_ROOT_DIR/$TASK" \
    --bert_config_file_T none \
    --bert_config_file_S "$MODEL_DIR/config.json" \
    --init_checkpoint_S "$MODEL_DIR/pytorch_model.bin" \
    --do_lower_case \
    --do_train \
    --do_predict \
    --max_seq_length 70 \
    --train_batch_size 24 \
    --random_seed 9580 \
    --num_train_epochs 6 \
    --learning_rate 2e-5 \
    --ckpt_frequency 1 \
    --schedule slanted_triangular \
    --s_opt1 30 \
    --output_dir "$OUTPUT_ROOT_DIR/${TASK}_teacher" \
    --gradient_accumulation_steps 1 \
    --task_name "$TASK" \
    --output_att_sum false \
    --output_encoded_layers false \
    --output_attention_layers false \
    "$@"
