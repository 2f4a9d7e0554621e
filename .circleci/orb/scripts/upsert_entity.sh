<<include(scripts/environment.sh)>>
args=(--blueprint="$PARAM_BLUEPRINT" --identifier="$PARAM_IDENTIFIER")
if [ -n "$PARAM_TITLE" ]; then args+=(--title="$PARAM_TITLE"); fi
if [ -n "$PARAM_PROPERTIES" ]; then args+=(--properties="$PARAM_PROPERTIES"); fi
if [ -n "$PARAM_RELATIONS" ]; then args+=(--relations="$PARAM_RELATIONS"); fi
if [ -n "$PARAM_RUN_ID" ]; then args+=(--run-id="$PARAM_RUN_ID"); fi
while IFS='=' read -r name variable; do
  if [ -z "$name" ]; then continue; fi
  # Bash would run a command in what is no name.
  if [[ ! $variable =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]]; then
    echo "error: property_env must be NAME=VARIABLE, one per line" >&2
    exit 2
  fi
  args+=(--property="$name=${!variable}")
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
