# It is missing if the job failed before it was reported as running.
if [ ! -f /tmp/port/report_ci_job.js ]; then
  echo "Nothing is reported: a step before with_ci_job_report failed"
  exit
fi
<<include(scripts/environment.sh)>>
args=(--status="$PARAM_STATUS" --blueprint="$PARAM_BLUEPRINT")
args+=(--create-missing-related-entities)
if [ -n "$PARAM_REPOSITORY_URL" ]; then
  export CIRCLE_REPOSITORY_URL="$PARAM_REPOSITORY_URL"
fi
if [ -n "$PARAM_JOB" ]; then args+=(--job="$PARAM_JOB"); fi
if is_on "$PARAM_SOFT_FAIL"; then args+=(--soft-fail); fi
while IFS= read -r line; do
  if [ -n "$line" ]; then args+=(--relation="$line"); fi
done < <(printf '%s\n' "$PARAM_RELATIONS")
deno run --no-config \
  --allow-env=PORT_*,API_URL,CIRCLE* \
  --allow-net="$hosts" \
  /tmp/port/report_ci_job.js "${args[@]}"
