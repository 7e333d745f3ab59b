#!/usr/bin/env bash
# Print every figure of docs/model-card.md and draw docs/calibration.png.
# Usage: training/report.sh DATA_DIR [PYTHON]; PYTHON has the packages of
# requirements-dev.txt and matplotlib.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 python=${2:-.venv/bin/python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

training/rules.sh
for name in negex e3c; do
    for precision in fp32 int8; do
        echo "== $name, $precision"
        PRECISION=$precision "$python" -m negation_api evaluate \
            "$data/eval/${name}_dev.jsonl" --predictions "$work/$name-$precision"
    done
    echo "== $name, beside the rule systems"
    "$python" training/compare.py "$data/eval/${name}_dev.jsonl" \
        --model "embedded=$work/$name-fp32"
done
echo "== labels at int8 that differ from fp32: of rows"
cat "$work"/*-fp32 | cut -d, -f1 >"$work/a"
cat "$work"/*-int8 | cut -d, -f1 >"$work/b"
paste "$work/a" "$work/b" | awk -F'\t' '$1 != $2' | wc -l
wc -l <"$work/a"
echo "== hand-written cases, by phenomenon"
"$python" -m pytest -q -s tests/test_behaviour.py
"$python" training/calibration.py docs/calibration.png \
    --set "NegEx notes=$data/eval/negex_dev.jsonl,$work/negex-fp32" \
    --set "E3C case reports=$data/eval/e3c_dev.jsonl,$work/e3c-fp32"
