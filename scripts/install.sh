#!/bin/sh
# Install pinned requirements into a virtual environment.
# Usage: scripts/install.sh PYTHON VENV REQUIREMENTS
#
# On Linux the default index's torch brings several GB of CUDA. PyTorch's own index
# has a CPU build; it is used when it answers within three seconds.
set -eu
python=$1 venv=$2 requirements=$3
cpu_index=https://download.pytorch.org/whl/cpu

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
torch=$(sed -n 's/^\(torch==[^ ;]*\).*/\1/p' "$requirements")
if [ -n "$torch" ] && ! "$venv/bin/pip" show -q torch 2>/dev/null &&
  "$venv/bin/python" - "$cpu_index/torch/" 2>/dev/null <<'PY'
import sys
import urllib.request

urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=3)
PY
then
  "$venv/bin/pip" install -q --no-deps --index-url "$cpu_index" "$torch" ||
    echo "PyTorch's CPU index did not serve $torch; using the default index." >&2
fi
"$venv/bin/pip" install -q --disable-pip-version-check -r "$requirements"
