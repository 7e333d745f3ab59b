#!/bin/sh
# Install pinned requirements into a virtual environment.
# Usage: scripts/install.sh PYTHON VENV REQUIREMENTS [HASHES]
#
# With HASHES, torch comes from REQUIREMENTS and all else from HASHES, each file checked
# against its hash. torch's own differs between PyTorch's index and others.
#
# On Linux the default index's torch brings several GB of CUDA. PyTorch's own index
# has a CPU build; it is used when it answers within three seconds.
set -eu
python=$1 venv=$2 requirements=$3 hashes=${4-}
cpu_index=https://download.pytorch.org/whl/cpu

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/pip" "$@" --disable-pip-version-check -q; }

torch=$(sed -n 's/^\(torch==[^ ;]*\).*/\1/p' "$requirements")
if [ -n "$torch" ] && ! pip show torch 2>/dev/null &&
  "$venv/bin/python" - "$cpu_index/torch/" 2>/dev/null <<'PY'
import sys
import urllib.request

urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=3)
PY
then
  pip install --no-deps --index-url "$cpu_index" "$torch" ||
    echo "PyTorch's CPU index did not serve $torch; using the default index." >&2
fi
if [ -n "$hashes" ]; then
  pip install --no-deps "$torch"
  pip install --no-deps --require-hashes -r "$hashes"
else
  pip install -r "$requirements"
fi
