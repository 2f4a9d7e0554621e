# The variables that hold the credentials are parameters.
export PORT_CLIENT_ID="${!PARAM_CLIENT_ID}"
export PORT_CLIENT_SECRET="${!PARAM_CLIENT_SECRET}"
# Port's hosts, and that of PORT_API_URL.
hosts=api.port.io,api.us.port.io,api.getport.io,api.us.getport.io
own="${PORT_API_URL#*://}"
if [ -n "$own" ]; then hosts+=",${own%%/*}"; fi
# CircleCI turns booleans into 1 and 0.
is_on() { [ "$1" = 1 ] || [ "$1" = true ]; }
