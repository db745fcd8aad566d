#!/bin/sh
# Distil the mean of several teachers, of any architectures, into the four-layer student.
# TEACHERS, CONFIGS and VOCABS are lists with spaces between: one a teacher, or one for all.
set -eu
cd "$(dirname "$0")"

MODEL_DIR=${MODEL_DIR:-mac_bert_model}
DATA_ROOT_DIR=${DATA_ROOT_DIR:-data_root_dir}
OUTPUT_ROOT_DIR=${OUTPUT_ROOT_DIR:-output_root_dir}
TEACHERS=${TEACHERS:-trained_teacher_model/gs3024.pkl trained_teacher_model/electra_gs6246.pkl}
CONFIGS=${CONFIGS:-$MODEL_DIR/config.json electra_model/config.json}
VOCABS=${VOCABS:-$MODEL_DIR/vocab.txt electra_model/vocab.txt}
STUDENT_CONFIG=${STUDENT_CONFIG:-config/chinese_bert_config_L4t.json}
TASK=${TASK:-cosmetics}

# shellcheck disable=SC2086 # the lists are meant to be split
python main.multiteacher.py \
    --vocab_file "$MODEL_DIR/vocab.txt" \
    --data_dir "$DATA_ROOT_DIR/$TASK" \
    --tuned_checkpoint_Ts $TEACHERS \
    --bert_config_file_T $CONFIGS \
    --vocab_file_T $VOCABS \
    --bert_config_file_S "$STUDENT_CONFIG" \
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
    --output_dir "$OUTPUT_ROOT_DIR/${TASK}_multiteacher" \
    --gradient_accumulation_steps 1 \
    --temperature 8 \
    --task_name "$TASK" \
    --output_encoded_layers false \
    --output_attention_layers false \
    "$@"
