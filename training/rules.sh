#!/usr/bin/env bash
# Make the virtual environments of the rule systems, once.
# They lie under $RULES_VENVS (training/.venvs if it is not set); PYTHON may
# name the interpreter, Python 3.11.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
venvs="${RULES_VENVS:-$here/.venvs}"

for name in spacy nlplite; do
    wanted="$here/requirements-$name.txt"
    if cmp -s "$wanted" "$venvs/$name/installed.txt"; then
        continue # as it should be already
    fi
    echo "rules.sh: making $name" >&2
    "${PYTHON:-python3.11}" -m venv --clear "$venvs/$name"
    "$venvs/$name/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$venvs/$name/installed.txt"
done
