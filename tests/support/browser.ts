/**
 * Chromium, for the tests of the local Port's page.
 *
 * @module
 */
import { type Browser, chromium, type Page } from "npm:playwright-core@1.65.1";
import type { LocalPortOptions } from "../../scripts/local_port/server.ts";
import { type TestPort, withPort } from "./port.ts";

/** The Chromium that `CHROMIUM` names, else that of the path, else nothing. */
const CHROMIUM = Deno.env.get("CHROMIUM") || findChromium();

function findChromium(): string {
  const args = ["-c", "command -v chromium"];
  const { stdout } = new Deno.Command("sh", { args }).outputSync();
  return new TextDecoder().decode(stdout).trim();
}

const IS_IGNORED = CHROMIUM === "" && Deno.env.get("CI") !== "true";

/** Starts Chromium with an empty profile. */
export async function launch(): Promise<Browser> {
  const advice = "apt-get install chromium, or set CHROMIUM";
  if (CHROMIUM === "") throw new Error(`Chromium is not installed: ${advice}`);
  const ignoreDefaultArgs = ["--hide-scrollbars"];
  return await chromium.launch({ executablePath: CHROMIUM, ignoreDefaultArgs });
}

/** Opens a view of the page of a local Port, and waits until it is drawn. */
export async function open(page: Page, url: string, view = "requests") {
  const hash = `#/${view}`;
  if (page.url().startsWith(url)) {
    await page.evaluate(`void (location.hash = ${JSON.stringify(hash)})`);
  } else await page.goto(`${url}/__local/${hash}`);
  await page.locator("#connection").getByText("Live").waitFor();
  await page.locator(`#title a:last-child[href="${hash}"]`).waitFor();
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
