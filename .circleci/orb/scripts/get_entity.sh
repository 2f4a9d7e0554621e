<<include(scripts/environment.sh)>>
if is_on "$PARAM_IS_GATE" && [[ $PARAM_EXPECT != *[![:space:]]* ]]; then
  echo "error: The gate stays shut: its parameter expect is empty" >&2
  exit 2
fi
args=(--blueprint="$PARAM_BLUEPRINT" --identifier="$PARAM_IDENTIFIER")
if [ -n "$PARAM_SELECT" ]; then args+=(--select="$PARAM_SELECT"); fi
if [ -n "$PARAM_WAIT" ]; then args+=(--wait="$PARAM_WAIT"); fi
if [ -n "$PARAM_DEFAULT" ]; then args+=(--default="$PARAM_DEFAULT"); fi
if is_on "$PARAM_ALLOW_MISSING"; then args+=(--allow-missing); fi
if is_on "$PARAM_SOFT_FAIL"; then args+=(--soft-fail); fi
while IFS= read -r line; do
  if [ -n "$line" ]; then args+=(--set-env="$line"); fi
done < <(printf '%s\n' "$PARAM_SET_ENV")
while IFS= read -r line; do
  if [ -n "$line" ]; then args+=(--expect="$line"); fi
done < <(printf '%s\n' "$PARAM_EXPECT")
deno run --no-config \
  --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,BASH_ENV \
  --allow-write="${BASH_ENV:-/tmp}" \
  --allow-net="$hosts" \
  /tmp/port/get_entity.js "${args[@]}"
