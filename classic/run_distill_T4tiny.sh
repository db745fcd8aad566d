#!/bin/sh
# Distil the teacher into the four-layer student.
set -eu
cd "$(dirname "$0")"

MODEL_DIR=${MODEL_DIR:-mac_bert_model}
DATA_ROOT_DIR=${DATA_ROOT_DIR:-data_root_dir}
OUTPUT_ROOT_DIR=${OUTPUT_ROOT_DIR:-output_root_dir}
TEACHER=${TEACHER:-trained_teacher_model/gs3024.pkl}
STUDENT_CONFIG=${STUDENT_CONFIG:-config/chinese_bert_config_L4t.json}
TASK=${TASK:-cosmetics}

python main.distill.py \
    --vocab_file "$MODEL_DIR/vocab.txt" \
    --data_dir "$DATA_ROOT_DIR/$TASK" \
    --bert_config_file_T "$MODEL_DIR/config.json" \
    --bert_config_file_S "$STUDENT_CONFIG" \
    --tuned_checkpoint_T "$TEACHER" \
    --load_model_type none \
    --do_lower_case \
    --do_train \
    --do_predict \
    --max_seq_length 70 \
    --train_batch_size 24 \
    --random_seed 9580 \
    --num_train_epochs 40 \
    --learning_rate 10e-5 \
    --ckpt_frequency 1 \
    --schedule slanted_triangular \
    --s_opt1 30 \
    --output_dir "$OUTPUT_ROOT_DIR/${TASK}_t8_TbaseST4tiny_AllSmmdH1_lr10e40_bs24" \
    --gradient_accumulation_steps 1 \
    --temperature 8 \
    --task_name "$TASK" \
    --output_att_sum false \
    --output_encoded_layers true \
    --output_attention_layers false \
    --matches L4t_hidden_mse L4_hidden_smmd \
    "$@"
