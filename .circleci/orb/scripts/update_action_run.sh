<<include(scripts/environment.sh)>>
args=(--run-id="$PARAM_RUN_ID")
if [ -n "$PARAM_LOG" ]; then args+=(--log="$PARAM_LOG"); fi
if [ -n "$PARAM_STATUS" ]; then args+=(--status="$PARAM_STATUS"); fi
if [ -n "$PARAM_STATUS_LABEL" ]; then args+=(--status-label="$PARAM_STATUS_LABEL"); fi
if [ -n "$PARAM_SUMMARY" ]; then args+=(--summary="$PARAM_SUMMARY"); fi
if [ -n "$PARAM_LINK" ]; then args+=(--link="$PARAM_LINK"); fi
if is_on "$PARAM_SOFT_FAIL"; then args+=(--soft-fail); fi
deno run --no-config \
  --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL \
  --allow-net="$hosts" \
  /tmp/port/update_action_run.js "${args[@]}"
