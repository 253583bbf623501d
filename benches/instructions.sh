#!/usr/bin/env bash
# Instructions per message from bytes to bytes, and the functions that take the most of them.
#
#   benches/instructions.sh [transient|acks|durable|tiny]... [--top N]
#
# Needs valgrind. The counts are exact: two runs of one build differ by less than a thousandth.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=200 top=0 kinds=()
while (($# > 0)); do
    case $1 in
        --top) top=$2 && shift ;;
        *) kinds+=("$1") ;;
    esac
    shift
done
((${#kinds[@]} > 0)) || kinds=(transient acks durable tiny)

# With names of functions and lines, so that --top can say where; the code is the same.
export CARGO_PROFILE_BENCH_DEBUG=line-tables-only
binary=$(cargo bench --locked --bench instructions --no-run --message-format json |
    python3 -c 'import json, sys
for line in sys.stdin:
    found = json.loads(line)
    if found.get("executable") and found["target"]["name"] == "instructions":
        print(found["executable"])')
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

for kind in "${kinds[@]}"; do
    out=$folder/$kind
    messages=$(valgrind -q --tool=callgrind --callgrind-out-file="$out" \
        --toggle-collect='instructions::counted' --toggle-collect='instructions::feed' "$binary" "$kind" "$rounds")
    total=$(sed -n 's/^\(summary\|totals\): \([0-9]*\).*/\2/p' "$out" | head -n 1)
    echo "$kind: $((total / messages)) instructions a message ($messages messages)"
    if ((top > 0)); then
        callgrind_annotate --threshold=100 "$out" 2>/dev/null | python3 -c '
import re, sys
messages, top = int(sys.argv[1]), int(sys.argv[2])
for line in sys.stdin:
    found = re.match(r"\s*([\d,]+) \(\s*[\d.]+%\)\s+(\S.*)", line)
    if not found or "PROGRAM TOTALS" in line:
        continue
    if top <= 0:
        continue  # to the end, or the writer dies of a closed pipe
    top -= 1
    count = int(found[1].replace(",", "")) / messages
    print(f"  {count:8.1f}  {found[2].split(chr(91))[0].strip()}")
' "$messages" "$top"
    fi
done
