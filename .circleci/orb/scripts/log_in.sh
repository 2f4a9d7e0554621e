# The variables that hold the credentials are parameters.
export PORT_CLIENT_ID="${!PARAM_CLIENT_ID}"
export PORT_CLIENT_SECRET="${!PARAM_CLIENT_SECRET}"
# Port's hosts, and that of PORT_API_URL.
hosts=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
own="${PORT_API_URL#*://}"
if [ -n "$own" ]; then hosts+=",${own%%/*}"; fi
deno run --no-config \
  --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,BASH_ENV \
  --allow-write="${BASH_ENV:-/tmp}" \
  --allow-net="$hosts" \
  /tmp/port/log_in.js
