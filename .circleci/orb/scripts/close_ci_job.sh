<<include(scripts/environment.sh)>>
args=(--job="$PARAM_JOB" --nodes="$PARAM_NODES" --blueprint="$PARAM_BLUEPRINT")
deno run --no-config \
  --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,CIRCLE_WORKFLOW_ID \
  --allow-net="$hosts" \
  /tmp/port/close_ci_job.js "${args[@]}"
