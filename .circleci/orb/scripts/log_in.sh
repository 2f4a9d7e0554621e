<<include(scripts/environment.sh)>>
deno run --no-config \
  --allow-env=PORT_*,API_URL,CIRCLECI,CIRCLE_BUILD_URL,BASH_ENV \
  --allow-write="${BASH_ENV:-/tmp}" \
  --allow-net="$hosts" \
  /tmp/port/log_in.js
