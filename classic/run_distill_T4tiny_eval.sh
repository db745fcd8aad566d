#!/bin/sh
# Evaluate a distilled student on dev.
set -eu
cd "$(dirname "$0")"

MODEL_DIR=${MODEL_DIR:-mac_bert_model}
DATA_ROOT_DIR=${DATA_ROOT_DIR:-data_root_dir}
OUTPUT_ROOT_DIR=${OUTPUT_ROOT_DIR:-output_root_dir}
TEACHER=${TEACHER:-trained_teacher_model/gs3024.pkl}
STUDENT=${STUDENT:-distil_model/gs8316.pkl}
STUDENT_CONFIG=${STUDENT_CONFIG:-config/chinese_bert_config_L4t.json}
TASK=${TASK:-cosmetics}

python main.distill.py \
    --vocab_file "$MODEL_DIR/vocab.txt" \
    --data_dir "$DATA_ROOT_DIR/$TASK" \
    --bert_config_file_T "$MODEL_DIR/config.json" \
    --bert_config_file_S "$STUDENT_CONFIG" \
    --tuned_checkpoint_T "$TEACHER" \
    --load_model_type all \
    --tuned_checkpoint_S "$STUDENT" \
    --do_lower_case \
    --do_predict \
    --max_seq_length 70 \
    --random_seed 9580 \
    --output_dir "$OUTPUT_ROOT_DIR/${TASK}_t8_TbaseST4tiny_eval" \
    --temperature 8 \
    --task_name "$TASK" \
    "$@"
