if command -v deno >/dev/null; then
  deno --version
elif command -v npm >/dev/null; then
  # Many images let only root write npm's global folder.
  npm install --global --prefix "$HOME/.local" "deno@$PARAM_VERSION"
  echo 'export PATH="$HOME/.local/bin:$PATH"' >> "$BASH_ENV"
  "$HOME/.local/bin/deno" --version
else
  echo "error: This image has neither Deno nor npm: use the orb's executor deno, or an image with one of them" >&2
  exit 1
fi
