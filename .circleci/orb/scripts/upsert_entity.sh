# The variables that hold the credentials are parameters.
export PORT_CLIENT_ID="${!PARAM_CLIENT_ID}"
export PORT_CLIENT_SECRET="${!PARAM_CLIENT_SECRET}"
# Port's hosts, and that of PORT_API_URL.
hosts=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
own="${PORT_API_URL#*://}"
if [ -n "$own" ]; then hosts+=",${own%%/*}"; fi
is_on() { [ "$1" = 1 ] || [ "$1" = true ]; }
args=(--blueprint="$PARAM_BLUEPRINT" --identifier="$PARAM_IDENTIFIER")
if [ -n "$PARAM_TITLE" ]; then args+=(--title="$PARAM_TITLE"); fi
if [ -n "$PARAM_PROPERTIES" ]; then args+=(--properties="$PARAM_PROPERTIES"); fi
if [ -n "$PARAM_RELATIONS" ]; then args+=(--relations="$PARAM_RELATIONS"); fi
if [ -n "$PARAM_RUN_ID" ]; then args+=(--run-id="$PARAM_RUN_ID"); fi
while IFS='=' read -r name variable; do
  if [ -n "$name" ]; then args+=(--property="$name=${!variable}"); fi
done < <(printf '%s\n' "$PARAM_PROPERTY_ENV")
if is_on "$PARAM_REPLACE"; then args+=(--replace); fi
if is_on "$PARAM_CREATE_MISSING_RELATED_ENTITIES"; then args+=(--create-missing-related-entities); fi
if is_on "$PARAM_SOFT_FAIL"; then args+=(--soft-fail); fi
while IFS= read -r line; do
  if [ -n "$line" ]; then args+=(--set-env="$line"); fi
done < <(printf '%s\n' "$PARAM_SET_ENV")
deno run --no-config \
  --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,BASH_ENV \
  --allow-write="${BASH_ENV:-/tmp}" \
  --allow-net="$hosts" \
  /tmp/port/upsert_entity.js "${args[@]}"
