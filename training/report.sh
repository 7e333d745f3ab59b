#!/usr/bin/env bash
# Print every figure of docs/model-card.md and draw docs/calibration.png.
# Usage: training/report.sh DATA_DIR [PYTHON]; PYTHON has the packages of
# requirements-dev.txt and matplotlib.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 python=${2:-.venv/bin/python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What the NegEx kit calls past by a convention of its own says nothing of time here.
counted() {
    "$python" -c '
import json, sys
for line in open(sys.argv[1], encoding="utf-8"):
    row = json.loads(line)
    if row.get("temporality_basis", "cue") != "cue":
        row["temporality"] = None
    print(json.dumps({"doc": row.get("id")} | row))' "$data/eval/$1_dev.jsonl"
}

training/rules.sh
for name in negex e3c notes reports e3c_hypothetical; do
    counted "$name" >"$work/$name.jsonl"
    for precision in fp32 int8; do
        echo "== $name, $precision"
        PRECISION=$precision "$python" -m negation_api evaluate \
            "$work/$name.jsonl" --predictions "$work/$name-$precision"
    done
    echo "== $name, beside the rule systems"
    "$python" training/compare.py "$work/$name.jsonl" \
        --model "embedded=$work/$name-fp32"
done
echo "== labels at int8 that differ from fp32: of rows"
cat "$work"/*-fp32 | cut -d, -f1 >"$work/a"
cat "$work"/*-int8 | cut -d, -f1 >"$work/b"
paste "$work/a" "$work/b" | awk -F'\t' '$1 != $2' | wc -l
wc -l <"$work/a"
echo "== hand-written cases, by phenomenon"
"$python" -m pytest -q -s tests/test_behaviour.py
echo "== invariance"
cat tests/behaviour/cases.jsonl "$work"/{negex,e3c,notes,reports}.jsonl \
    >"$work/all.jsonl"
"$python" -m negation_api evaluate "$work/all.jsonl" --invariance
"$python" training/calibration.py docs/calibration.png \
    --set "NegEx notes=$data/eval/negex_dev.jsonl,$work/negex-fp32" \
    --set "E3C case reports=$data/eval/e3c_dev.jsonl,$work/e3c-fp32"
