# The variables that hold the credentials are parameters.
export PORT_CLIENT_ID="${!PARAM_CLIENT_ID}"
export PORT_CLIENT_SECRET="${!PARAM_CLIENT_SECRET}"
# Port's hosts, and that of PORT_API_URL.
hosts=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
own="${PORT_API_URL#*://}"
if [ -n "$own" ]; then hosts+=",${own%%/*}"; fi
is_on() { [ "$1" = 1 ] || [ "$1" = true ]; }
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
