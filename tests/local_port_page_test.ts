import { assert, assertEquals } from "jsr:@std/assert@1.0.19";
import type { Page } from "npm:playwright-core@1.65.1";
import { startLocalPort } from "../scripts/local_port/server.ts";
import { open, testPage } from "./support/browser.ts";
import { runAlong } from "./support/action_runs.ts";
import { put, SECRET, type TestPort } from "./support/port.ts";
import { runProcess } from "./support/run.ts";

const UPSERT = "-b service -i checkout -p";

/** Waits until a text is shown. */
async function see(page: Page, text: string) {
  await page.getByText(text).filter({ visible: true }).first().waitFor();
}

/** Follows a link of this name. */
async function follow(page: Page, name: string) {
  await page.getByRole("link", { name, exact: true }).click();
}

/** The rows of the requests that are shown. */
const rows = (page: Page) => page.locator("#rows tr:visible");

async function refuse(port: TestPort) {
  const { code } = await port.run("upsert_entity", `${UPSERT} replicas=three`);
  assertEquals(code, 5);
}

testPage("shows what scripts send, without a reload", async (page, port) => {
  let loads = 0;
  page.on("load", () => loads++);
  await open(page, port.url);
  await see(page, "deno task upsert -b service -i checkout");
  await see(page, `export PORT_API_URL=${port.url} `);

  await port.run("upsert_entity", `${UPSERT} version=1.4.2`);
  const row = rows(page).filter({ hasText: "/v1/blueprints/service/entities" });
  for (const text of ["POST", "201", "upsert_entity"]) {
    await row.getByText(text, { exact: true }).waitFor();
  }
  assertEquals(await page.getByText("No request yet").count(), 0);
  await refuse(port);
  await see(page, '"replicas" must be number');

  await page.getByLabel("Refused 1").check();
  assertEquals(await rows(page).count(), 1);
  await page.getByLabel("All 4").check();
  await page.getByLabel("Filter the requests").fill("NUMBER");
  assertEquals(await rows(page).count(), 1);
  await rows(page).click();
  const detail = page.locator("#detail");
  await detail.getByText('"replicas": "three"').waitFor();
  await detail.locator("p.reason").getByText("must be number").waitFor();
  await detail.getByLabel("Answer").getByText("invalid_request").waitFor();

  await follow(page, "Catalogue");
  await follow(page, "service");
  await page.getByRole("cell", { name: "1.4.2" }).waitFor();
  await port.run("upsert_entity", `${UPSERT} version=1.5.0`);
  await page.getByRole("cell", { name: "1.5.0" }).waitFor();
  await follow(page, "checkout");
  await see(page, "Requests that changed it");
  assertEquals(await page.locator("#view tr").count(), 2);
  assertEquals(loads, 1);
});

testPage("switches failures on, and resets", async (page, port) => {
  await open(page, port.url, "failures");
  await page.getByRole("slider").fill("100");
  for (const kind of ["rate-limited", "error", "bad-gateway", "cut-before"]) {
    await page.getByLabel(kind).uncheck();
  }
  await page.getByLabel("cut-middle").uncheck();
  await page.locator("#notice").getByText("Saved").waitFor();
  const { code } = await port.run("get_entity", "-b service -i x --retries 0");
  assertEquals(code, 6);
  await follow(page, "Requests");
  await page.getByLabel("Failed on purpose 1").check();
  await rows(page).getByText("Failed on purpose: unavailable").waitFor();

  await follow(page, "Failures on");
  await page.getByRole("button", { name: "Reset all" }).click();
  await page.locator("#rate-shown").getByText("0 %").waitFor();
  await follow(page, "Requests");
  await see(page, "No request yet");
  await port.run("upsert_entity", `${UPSERT} version=1`);
  await page.getByLabel("All 2").check();
  await page.getByRole("button", { name: "Clear" }).click();
  await see(page, "No request yet");
  assert(await port.entity("service", "checkout"));
});

testPage(
  "limits the rate, answers slowly, and expires tokens",
  async (page, port) => {
    await open(page, port.url, "failures");
    await page.getByLabel("Shortest time of an answer").fill("20");
    await page.getByLabel("One limit for each family").check();
    await page.getByRole("spinbutton", { name: "Requests" }).fill("1");
    await page.getByLabel("in seconds").fill("60");
    const saved = page.waitForResponse((answer) =>
      answer.request().postData()?.includes('"period":60000') ?? false
    );
    await page.getByLabel("in seconds").blur();
    await saved;
    const statuses = [];
    for (const _ of "12") {
      statuses.push((await port.call("GET", "/blueprints/service")).status);
    }
    assertEquals(statuses, [200, 429]);
    await page.getByLabel("One limit for each family").uncheck();
    await page.getByRole("button", { name: "Expire all tokens" }).click();
    await see(page, "All tokens have expired");
    assertEquals((await port.call("GET", "/blueprints/service")).status, 401);
  },
);

/** What ends a quotation or a paste, and what a shell would run. */
const HOSTILE = `'"; touch /tmp/x; $(id) \`id\` \\' !! \x1b[201~\n@x \u009b é`;

testPage(
  "copies a request for a shell, without the token",
  async (page, port) => {
    const path = "/blueprints/service/entities?upsert=true&x='$(id)";
    await port.call("POST", path, HOSTILE);
    await open(page, port.url, "requests");
    await rows(page).first().click();
    await page.getByRole("button", { name: "Copy as curl" }).click();
    await see(page, "Copied");
    const text = await page.evaluate(
      "navigator.clipboard.readText()",
    ) as string;
    assertEquals(/[^\P{Cc}\n]/u.test(text), false);
    const script = `curl() { printf '%s\\0' "$@"; }; TOKEN=made-up\n${text}`;
    const { stdout } = await runProcess("bash", ["-c", script]);
    assertEquals(stdout.split("\0"), [
      ...["-g", "-X", "POST", new URL(`${port.url}/v1${path}`).href],
      ...["-H", "Authorization: Bearer made-up"],
      ...["-H", "Content-Type: application/json"],
      ...["--data-raw", JSON.stringify(HOSTILE), ""],
    ]);
  },
);

const MARKUP = `<img src=x onerror="alert(1)"><script>alert(2)</script>`;

testPage("shows hostile values as text, and no secret", async (page, port) => {
  const properties = { version: MARKUP, url: "javascript:alert(3)" };
  const entity = { identifier: "x", title: MARKUP, properties };
  await put(port, "service", [entity]);
  await port.call("POST", `/blueprints/${MARKUP}/entities`, { [MARKUP]: 1 });
  await port.call("POST", "/actions/deploy/runs", {
    properties: { x: MARKUP },
  });
  const views = ["requests", "requests/2", "requests/3", "catalogue/service"];
  views.push("catalogue/service/x", "relations/service/x", "runs");
  for (const view of views) {
    await open(page, port.url, view);
    await see(page, "<img src=x onerror=");
    const injected = page.locator("main :is(img, script, [onerror])");
    const run = page.locator("main [href^='javascript']");
    assertEquals([await injected.count(), await run.count()], [0, 0], view);
    assertEquals((await page.content()).includes(SECRET), false, view);
  }
  await open(page, port.url, "requests/1");
  await see(page, '"accessToken": "•••"');
});

testPage("needs no mouse", async (page, port) => {
  await put(port, "service", ["cart", "checkout"]);
  await refuse(port);
  await open(page, port.url);
  const press = async (...keys: string[]) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  const focused = page.locator(":focus");
  await press("/");
  await page.keyboard.type("must be");
  await press("ArrowDown", "Enter");
  await page.locator("#detail:focus").getByText('"three"').waitFor();
  await press("Escape");
  assertEquals(await focused.getAttribute("href"), "#/requests/4");
  await press("/", "Escape", "j", "j", "k", "k", "k");
  assertEquals(await focused.getAttribute("href"), "#/requests/4");

  await press("2");
  await page.getByRole("link", { name: "service", exact: true }).waitFor();
  await press("j", "j", "ArrowDown", "Enter");
  await page.getByRole("heading", { name: "Service" }).waitFor();
  const head = page.getByRole("columnheader", { name: "Entity" });
  assertEquals(await head.getAttribute("aria-sort"), "ascending");
  await head.getByRole("button").focus();
  await press("Enter");
  assertEquals(await head.getAttribute("aria-sort"), "descending");
  await press("j", "Enter");
  await page.getByRole("heading", { name: "checkout" }).waitFor();
  await press("Escape", "Escape");
  await page.getByRole("heading", { name: "Catalogue" }).waitFor();
  await press("?");
  await page.getByRole("dialog").getByText("Next row").waitFor();
  await press("Escape");
  assertEquals(await page.getByRole("dialog").count(), 0);
});

testPage("approves a run, and answers as its backend", async (page, port) => {
  await open(page, port.url, "runs");
  await see(page, "No run yet");
  const args = "-a release -p version=1 --wait 1m";
  const { code, stderr } = await runAlong(
    port,
    "create_action_run",
    args,
    async () => {
      await page.getByRole("button", { name: "Approve" }).click();
      await page.getByLabel("Log line").fill("Half done");
      await page.keyboard.press("Enter");
      await page.getByLabel("Log", { exact: true }).getByText("Half done")
        .waitFor();
      await page.getByLabel("Log line").fill("All done");
      await page.getByRole("button", { name: "Succeed" }).click();
      await see(page, "SUCCESS");
    },
  );
  assertEquals(code, 0, stderr);
  await port.call("POST", "/actions/release/runs", { properties: {} });
  await page.getByRole("button", { name: "Refuse" }).click();
  await page.getByRole("button", { name: "Refuse" }).waitFor({
    state: "hidden",
  });
}, { actions: ["release"], approval: ["release"] });

testPage("catches up after a lost connection", async (page, port) => {
  await put(port, "service", ["old"]);
  await open(page, port.url);
  await rows(page).first().waitFor();
  await port.close();
  await see(page, "Not connected");
  const again = await startLocalPort({ port: Number(new URL(port.url).port) });
  try {
    await fetch(`${again.url}/v1/missed`);
    await page.locator("#connection.live").waitFor();
    await rows(page).getByText("/v1/missed").waitFor();
    assertEquals(await rows(page).count(), 1);
  } finally {
    await again.close();
  }
});

testPage("reports what does not exist", async (page, port) => {
  const cases: [view: string, text: string][] = [
    ["nowhere", "This page has no view #/nowhere"],
    ["runs/x", "This page has no view #/runs/x"],
    ["catalogue/%E0%A4%A", "This page has no view"],
    ["catalogue/constructor", "constructor does not exist"],
    ["catalogue/service/gone", "service / gone does not exist"],
    ["relations/service/gone", "service / gone does not exist"],
    ["requests/99", "Request 99"],
  ];
  for (const [view, text] of cases) {
    await open(page, port.url, view);
    await see(page, text);
  }
  await put(port, "service", ["cart"]);
  await open(page, port.url, "catalogue/service/cart");
  await page.getByRole("heading", { name: "cart" }).waitFor();
  await port.call("DELETE", "/blueprints/service/entities/cart");
  await see(page, "service / cart does not exist");
});

/** The texts that have too little contrast with what lies behind them. */
const FAINT = `
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((value) => value / 255)
    .map((x) => x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
    .reduce((sum, x, index) => sum + x * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (element) => {
    const color = channels(getComputedStyle(element).backgroundColor);
    return color[3] === 0 && element.parentElement
      ? ground(element.parentElement)
      : color;
  };
  const contrast = (element) => {
    const color = channels(getComputedStyle(element).color);
    const [dark, light] = [color, ground(element)].map(luminance)
      .sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  [...document.querySelectorAll("body *")].filter((element) =>
    element.checkVisibility() && !element.closest("svg, :disabled") &&
    [...element.childNodes].some((node) =>
      node.nodeType === Node.TEXT_NODE && node.data.trim() !== "") &&
    contrast(element) < 4.5
  ).map((element) => element.outerHTML);
`;

testPage("is readable, light and dark, wide and narrow", async (page, port) => {
  await put(port, "service", [{ identifier: "cart", title: "x".repeat(200) }]);
  await refuse(port);
  await port.call("POST", "/actions/deploy/runs", { properties: {} });
  const views = ["requests", "requests/4", "catalogue", "catalogue/service"];
  views.push("catalogue/service/cart", "relations", "runs", "failures", "x");
  const grounds = new Set();
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const view of views) {
      await open(page, port.url, view);
      assertEquals(await page.evaluate(FAINT), [], `${colorScheme} ${view}`);
    }
    grounds.add(
      await page.evaluate(
        "getComputedStyle(document.documentElement).backgroundColor",
      ),
    );
  }
  assertEquals([...grounds], ["rgb(246, 247, 249)", "rgb(15, 18, 24)"]);
  await page.setViewportSize({ width: 360, height: 640 });
  for (const view of views) {
    await open(page, port.url, view);
    const excess = `[document.documentElement, document.querySelector("main")]
      .map(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)`;
    assertEquals(await page.evaluate(excess), [0, 0], view);
  }
});

testPage("stays still while requests arrive", async (page, port) => {
  await refuse(port);
  await open(page, port.url);
  await page.keyboard.press("j");
  const focused = page.locator(":focus");
  const href = await focused.getAttribute("href");
  const columns = () =>
    page.locator("thead th").evaluateAll((cells) =>
      cells.map((cell) => JSON.stringify(cell.getBoundingClientRect()))
    );
  const before = await columns();
  const paths = Array.from({ length: 30 }, (_, n) => `/${"long".repeat(n)}`);
  for (const path of paths) await port.call("GET", path);
  await rows(page).first().getByText(`/v1${paths.at(-1)}`).first().waitFor();
  assertEquals(await columns(), before);
  assertEquals(await focused.getAttribute("href"), href);
});

testPage(
  "draws relations, and lists them where they are many",
  async (page, port) => {
    await put(port, "image", ["one"]);
    const relations = { image: "one" };
    await put(port, "service", [{ identifier: "s", title: "Shop", relations }]);
    await open(page, port.url, "relations");
    await page.locator("svg a").filter({ hasText: "1 entity" }).first()
      .waitFor();
    await open(page, port.url, "catalogue/service/s");
    await follow(page, "image / one");
    await page.getByRole("heading", { name: "one" }).waitFor();
    await page.getByText("service / s").waitFor();
    await follow(page, "Show its relations as a graph");
    await page.locator("svg a").filter({ hasText: "Shop" }).click();
    await page.getByRole("heading", { name: "Relations of s" }).waitFor();
    const many = Array.from({ length: 40 }, (_, n) => `s${n}`);
    await put(
      port,
      "service",
      many.map((identifier) => ({ identifier, relations })),
    );
    await open(page, port.url, "relations/image/one");
    await page.locator("#view li").nth(41).waitFor();
    assertEquals(await page.locator("#view svg").count(), 0);
  },
);
