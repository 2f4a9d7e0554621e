<<include(scripts/environment.sh)>>
args=(--failed-file="$PARAM_FAILED_FILE" --junit=port-results/port.xml)
if [ -n "$PARAM_BLUEPRINT" ]; then args+=(--blueprint="$PARAM_BLUEPRINT"); fi
if [ -n "$PARAM_SHARD" ]; then args+=(--shard="$PARAM_SHARD"); fi
if [ -n "$PARAM_MAX_ERRORS" ]; then args+=(--max-errors="$PARAM_MAX_ERRORS"); fi
if is_on "$PARAM_REPLACE"; then args+=(--replace); fi
if is_on "$PARAM_CREATE_MISSING_RELATED_ENTITIES"; then args+=(--create-missing-related-entities); fi
if is_on "$PARAM_CHANGED_ONLY"; then args+=(--changed-only); fi
if is_on "$PARAM_DRY_RUN"; then args+=(--dry-run); fi
if [ -n "$PARAM_PRUNE_MAX" ]; then args+=(--prune-max="$PARAM_PRUNE_MAX"); fi
while IFS= read -r line; do
  if [ -n "$line" ]; then args+=(--prune="$line"); fi
done < <(printf '%s\n' "$PARAM_PRUNE")
if is_on "$PARAM_SOFT_FAIL"; then args+=(--soft-fail); fi
args+=(--)
while IFS= read -r line; do
  if [ -n "$line" ]; then args+=("$line"); fi
done < <(printf '%s\n' "$PARAM_FILES")
if [ "${args[-1]}" = -- ]; then
  echo "error: The parameter files is empty" >&2
  exit 2
fi
deno run --no-config \
  --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,CIRCLE_NODE_INDEX,CIRCLE_NODE_TOTAL \
  --allow-read --allow-write \
  --allow-net="$hosts" \
  /tmp/port/bulk_upsert_entities.js "${args[@]}"
