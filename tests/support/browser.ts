/**
 * Chromium, for the tests of the local Port's page.
 *
 * @module
 */
import { type Browser, chromium, type Page } from "npm:playwright-core@1.65.1";
import type { LocalPortOptions } from "../../scripts/local_port/server.ts";
import { type TestPort, withPort } from "./port.ts";

/** Without a sandbox it also runs as root; nothing but the test is loaded. */
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The Chromium that `CHROMIUM` names, else that of the path. */
function findChromium(): string | undefined {
  const named = Deno.env.get("CHROMIUM");
  if (named) return named;
  return (Deno.env.get("PATH") ?? "").split(":")
    .map((folder) => `${folder}/chromium`)
    .find((path) => {
      try {
        return Deno.statSync(path).isFile;
      } catch {
        return false;
      }
    });
}

const CHROMIUM = findChromium();
const IS_IGNORED = CHROMIUM === undefined && Deno.env.get("CI") !== "true";

/** Starts Chromium with an empty profile. */
export async function launch(): Promise<Browser> {
  if (CHROMIUM === undefined) {
    throw new Error(
      "Chromium is not installed: apt-get install chromium, or set CHROMIUM",
    );
  }
  return await chromium.launch({
    executablePath: CHROMIUM,
    args: FLAGS,
    ignoreDefaultArgs: ["--hide-scrollbars"],
  });
}

/** Opens a view of the page of a local Port, and waits until it is drawn. */
export async function open(page: Page, url: string, view = "requests") {
  if (page.url().startsWith(url)) await changeHash(page, `#/${view}`);
  else await page.goto(`${url}/__local/#/${view}`);
  await page.locator("#connection.live").waitFor();
  await page.locator("main[aria-busy=false]").waitFor();
}

/** Waits for the event, on which the page begins to draw. */
async function changeHash(page: Page, hash: string) {
  if (page.url().endsWith(hash)) return;
  await page.evaluate(`new Promise((resolve) => {
    addEventListener("hashchange", resolve, { once: true });
    location.hash = ${JSON.stringify(hash)};
  })`);
}

/** A browser for all tests of a file. */
let browser: Promise<Browser> | undefined;

/**
 * Defines a test of the page. Without Chromium it is ignored, unless `CI` is
 * `true`.
 *
 * @param name What the page does.
 * @param test The test; it fails if the page throws an error, opens a dialog
 * or does what its Content Security Policy forbids.
 * @param options How the local Port behaves.
 */
export function testPage(
  name: string,
  test: (page: Page, port: TestPort) => Promise<void>,
  options: LocalPortOptions = {},
): void {
  const reason = IS_IGNORED ? " (ignored: Chromium is not installed)" : "";
  Deno.test({
    name: `page ${name}${reason}`,
    ignore: IS_IGNORED,
    // The browser outlives the test.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: () => withPort(options, (port) => withPage((page) => test(page, port))),
  });
}

async function withPage(test: (page: Page) => Promise<void>) {
  const context = await (await (browser ??= launch())).newContext({
    permissions: ["clipboard-read", "clipboard-write"],
  });
  context.setDefaultTimeout(15_000);
  const errors: string[] = [];
  try {
    const page = await context.newPage();
    page.on("pageerror", ({ message }) => errors.push(message));
    page.on("console", (message) => {
      const text = message.text();
      if (text.includes("Content Security Policy")) errors.push(text);
    });
    page.on("dialog", (dialog) => errors.push(dialog.message()));
    await test(page);
  } finally {
    await context.close();
  }
  if (errors.length > 0) throw new Error(errors.join("\n"));
}

Deno.test.afterAll(async () => {
  const started = await browser?.catch(() => undefined);
  await started?.close();
});
