#!/usr/bin/env bash
# Runs Claude Code once through the gate and shows the run as a tree.
# usage: run.sh "prompt"      environment: TOLLKEEPER_KEY (required), TOLLKEEPER_ADDRESS, CLAUDE, TOLLKEEPER
set -euo pipefail
: "${TOLLKEEPER_KEY:?set TOLLKEEPER_KEY to the virtual key of examples/claude_code/tollkeeper.yaml}"
address=${TOLLKEEPER_ADDRESS:-http://127.0.0.1:8080}
claude=${CLAUDE:-claude}
tollkeeper=${TOLLKEEPER:-.venv/bin/tollkeeper}
session=$(python3 -c 'import uuid; print(uuid.uuid4())')
config=$(mktemp)
trap 'rm -f "$config"' EXIT
cat > "$config" <<JSON
{"mcpServers": {"tollkeeper": {"type": "http", "url": "$address/mcp",
  "headers": {"Authorization": "Bearer $TOLLKEEPER_KEY"}}}}
JSON
ANTHROPIC_BASE_URL="$address/anthropic" ANTHROPIC_AUTH_TOKEN="$TOLLKEEPER_KEY" \
  "$claude" -p "${1:?usage: run.sh \"prompt\"}" --session-id "$session" \
  --mcp-config "$config" --strict-mcp-config --allowedTools "mcp__tollkeeper__*" </dev/null
"$tollkeeper" ledger --run "$session"
