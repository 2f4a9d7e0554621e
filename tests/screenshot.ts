/**
 * Makes the picture of the local Port's page that the README shows: runs the
 * scripts against a local Port, and opens a request that it refused.
 *
 * @module
 */
import { launch, open } from "./support/browser.ts";
import { CIRCLECI } from "./support/calls.ts";
import { type TestPort, withPort } from "./support/port.ts";
import { type Args, ROOT } from "./support/run.ts";

const FILE = new URL("scripts/local_port/page.png", ROOT);
const MAX_BYTES = 200 * 1024;

/** Two images; the size of one is text, where a number is wanted. */
const IMAGES = `{"identifier": "cart-2.0.1", "properties": {"size": 38}}
{"identifier": "search-3.1.0", "properties": {"size": "large"}}
`;

/** The scripts with their arguments and standard input, in their order. */
const RUNS: [name: string, args: Args, stdin?: string][] = [
  ["upsert_entity", "-b team -i payments"],
  ["upsert_entity", "-b image -i checkout-1.4.2 -p imageTag=1.4.2"],
  ["report_ci_job", "--status running"],
  ["bulk_upsert_entities", "-b image", IMAGES],
  ["get_entity", "-b service -i cart"],
  [
    "upsert_entity",
    "-b service -i checkout -p version=1.4.2 -p replicas=three -r image=checkout-1.4.2",
  ],
  [
    "upsert_entity",
    "-b service -i checkout -p version=1.4.2 -p replicas:=3 -r image=checkout-1.4.2",
  ],
];

async function fillPort(port: TestPort) {
  const env = CIRCLECI;
  for (const [name, args, stdin] of RUNS) {
    await port.run(name, args, { env, ...(stdin && { stdin }) });
  }
  await failAll(port, true);
  await port.run("get_entity", "-b service -i checkout --retries 0");
  await failAll(port, false);
  await port.run("report_ci_job", "--status success", { env });
}

/** Lets all requests fail, or none. */
async function failAll({ url }: TestPort, isOn: boolean) {
  const body = { failRate: isOn ? 1 : 0, kinds: ["unavailable"] };
  const answer = await fetch(`${url}/__local/failures`, {
    method: "PUT",
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(await answer.text());
  await answer.body?.cancel();
}

async function takeScreenshot({ url }: TestPort): Promise<Uint8Array> {
  const browser = await launch();
  try {
    const page = await browser.newPage({
      viewport: { width: 1200, height: 750 },
    });
    await open(page, url);
    await page.getByRole("row", { name: '"replicas" must be' }).click();
    await page.locator("#detail:focus").waitFor();
    await page.mouse.move(0, 0);
    return await page.screenshot({ animations: "disabled" });
  } finally {
    await browser.close();
  }
}

if (import.meta.main) {
  await withPort({}, async (port) => {
    await fillPort(port);
    const image = await takeScreenshot(port);
    if (image.length > MAX_BYTES) {
      throw new Error(`The image has ${image.length} bytes, over ${MAX_BYTES}`);
    }
    await Deno.writeFile(FILE, image);
  });
}
