# The variables that hold the credentials are parameters.
export PORT_CLIENT_ID="${!PARAM_CLIENT_ID}"
export PORT_CLIENT_SECRET="${!PARAM_CLIENT_SECRET}"
args=(--job="$PARAM_JOB" --nodes="$PARAM_NODES" --blueprint="$PARAM_BLUEPRINT")
deno run --no-config \
  --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,CIRCLE_WORKFLOW_ID \
  --allow-net=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io \
  /tmp/port/close_ci_job.js "${args[@]}"
