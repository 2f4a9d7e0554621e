if command -v deno >/dev/null; then
  deno --version
elif command -v npm >/dev/null; then
  npm install --global "deno@$PARAM_VERSION"
  deno --version
else
  echo "This image has neither Deno nor npm: use the orb's executor deno, or an image with one of them" >&2
  exit 1
fi
