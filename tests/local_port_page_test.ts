import { assert, assertEquals } from "jsr:@std/assert@1.0.19";
import type { Page } from "npm:playwright-core@1.65.1";
import { startLocalPort } from "../scripts/local_port/server.ts";
import { open, testPage } from "./support/browser.ts";
import { put, SECRET, type TestPort } from "./support/port.ts";
import { runProcess } from "./support/run.ts";

/** Waits until a text is shown. */
async function see(page: Page, text: string) {
  await page.getByText(text).filter({ visible: true }).first().waitFor();
}

const follow = (page: Page, name: string) =>
  page.getByRole("link", { name, exact: true }).click();

const click = (page: Page, name: string) =>
  page.getByRole("button", { name }).click();

async function press(page: Page, ...keys: string[]) {
  for (const key of keys) await page.keyboard.press(key);
}

/** Waits until the focus is on the row that leads to a view. */
const seeFocus = (page: Page, view: string) =>
  page.locator(`a[href="#/${view}"]:focus`).waitFor();

/** The rows of the table that is shown. */
const rows = (page: Page) => page.locator("tbody tr");

const UPSERT = "/blueprints/service/entities?upsert=true&merge=true";

/** Saves an entity; Port refuses the replicas if they are a text. */
async function upsert(port: TestPort, replicas: number | string) {
  const entity = { identifier: "checkout", properties: { replicas } };
  return await port.call("POST", UPSERT, entity);
}

testPage("shows what scripts send, without a reload", async (page, port) => {
  let loads = 0;
  page.on("load", () => loads++);
  await open(page, port.url);
  await see(page, "deno task upsert -b service -i checkout");
  await port.run("upsert_entity", "-b service -i checkout -p version=1.4.2");
  const row = rows(page).filter({ hasText: UPSERT });
  for (const text of ["POST", "201", "upsert_entity"]) {
    await row.getByText(text, { exact: true }).waitFor();
  }
  await upsert(port, "three");
  await see(page, '"replicas" must be number');
  await page.getByLabel("Refused 1").check();
  await see(page, "1 of 1");
  await page.getByLabel("All 4").check();
  await page.getByLabel("Filter the rows").fill("NUMBER");
  await see(page, "1 of 4");
  await rows(page).click();
  await page.getByLabel("Body").getByText('"replicas": "three"').waitFor();
  await page.locator("#reason").getByText("must be number").waitFor();
  await page.getByLabel("Answer").getByText("invalid_request").waitFor();

  await follow(page, "Catalogue");
  await follow(page, "service");
  await page.getByRole("cell", { name: "1.4.2" }).waitFor();
  await upsert(port, 77);
  await page.getByRole("cell", { name: "77" }).waitFor();
  await follow(page, "checkout");
  await see(page, "Requests that changed it");
  assertEquals(await rows(page).count(), 2);
  assertEquals(loads, 1);
});

testPage("filters and sorts a table", async (page, port) => {
  const entities = [10, 9, 2].map((replicas) => ({
    identifier: `s${replicas}`,
    properties: { replicas },
  }));
  await put(port, "service", entities);
  await open(page, port.url, "catalogue/service");
  const cells = rows(page).getByRole("link");
  await click(page, "replicas");
  await page.locator("th[aria-sort=ascending]").waitFor();
  assertEquals(await cells.allTextContents(), ["s2", "s9", "s10"]);
  await click(page, "replicas");
  await page.locator("th[aria-sort=descending]").waitFor();
  assertEquals(await cells.allTextContents(), ["s10", "s9", "s2"]);
  await page.getByLabel("Filter the rows").fill("S1");
  await see(page, "1 of 3");
  await follow(page, "s10");
  await see(page, "Points to");
  await page.goBack();
  await see(page, "1 of 3");
});

testPage("switches failures on, resets, and clears", async (page, port) => {
  await put(port, "service", ["cart"]);
  await open(page, port.url, "failures");
  const kinds = page.getByRole("checkbox");
  for (const kind of await kinds.all()) {
    if (await kind.inputValue() !== "unavailable") await kind.uncheck();
  }
  await page.getByLabel("Share that fails").fill("1");
  await page.getByLabel("Share that fails").blur();
  await see(page, "Saved");
  await port.call("GET", "/blueprints");
  await follow(page, "Requests");
  await page.getByLabel("Failed on purpose").check();
  await rows(page).getByText("unavailable").first().waitFor();

  await follow(page, "Failures");
  await click(page, "Reset all");
  await see(page, "All is as at the start");
  await page.locator("[name=kinds]:checked").nth(5).waitFor();
  await follow(page, "Requests");
  await see(page, "No such request yet");
  await page.getByRole("radio", { name: "All" }).check();
  await put(port, "service", ["cart"]);
  await rows(page).first().click();
  await page.getByRole("article").waitFor();
  await click(page, "Clear");
  await see(page, "No such request yet");
  await see(page, "0 of 0");
  assertEquals(await page.getByRole("article").count(), 0);
  assert(await port.entity("service", "cart"));
});

testPage("limits the rate, and expires tokens", async (page, port) => {
  await open(page, port.url, "failures");
  const get = async () => (await port.call("GET", "/blueprints")).status;
  assertEquals(await get(), 200);
  await click(page, "Expire all tokens");
  await see(page, "All tokens expired");
  assertEquals(await get(), 401);
  await page.getByLabel("Shortest time of an answer").fill("20");
  await page.getByLabel("Requests that each").fill("1");
  await page.getByLabel("in this time").fill("60000");
  const isLast = (text: string | null) => text?.includes(":60000") ?? false;
  const saved = page.waitForResponse((one) => isLast(one.request().postData()));
  await page.getByLabel("in this time").blur();
  assertEquals((await (await saved).json()).latency, 20);
  assertEquals([await get(), await get()], [401, 429]);
});

/** What ends a quotation or a paste, and what a shell would run. */
const HOSTILE = `'"; touch /tmp/x; $(id) \`id\` \\' !! \x1b[201~\n@x \u009b é`;

testPage("copies curl for a shell, without the token", async (page, port) => {
  const path = "/blueprints/service/entities?upsert=true&x='$(id)";
  await port.call("POST", path, HOSTILE);
  await open(page, port.url, "requests/2");
  await click(page, "Copy as curl");
  await see(page, "Copied");
  const text = await page.evaluate("navigator.clipboard.readText()") as string;
  assertEquals(/[^\P{Cc}\n]/u.test(text), false);
  const script = `curl() { printf '%s\\0' "$@"; }; TOKEN=made-up\n${text}`;
  const { stdout } = await runProcess("bash", ["-c", script]);
  assertEquals(stdout.split("\0"), [
    ...["-g", "-X", "POST", new URL(`${port.url}/v1${path}`).href],
    ...["-H", "Authorization: Bearer made-up"],
    ...["-H", "Content-Type: application/json"],
    ...["--data-raw", JSON.stringify(HOSTILE), ""],
  ]);
});

const MARKUP = `<img src=x onerror="alert(1)"><script>alert(2)</script>`;

testPage("shows hostile values as text, and no secret", async (page, port) => {
  const properties = { version: MARKUP, url: "javascript:alert(3)" };
  const entity = { identifier: "x", title: MARKUP, properties };
  await put(port, "service", [entity]);
  await port.call("POST", `/blueprints/${MARKUP}/entities`, { [MARKUP]: 1 });
  const start = "/actions/deploy/runs";
  await port.call("POST", start, { properties: { x: MARKUP } });
  const views = ["requests", "requests/2", "requests/3", "catalogue/service"];
  views.push("catalogue/service/x", "relations/service/x", "runs");
  for (const view of views) {
    await open(page, port.url, view);
    await see(page, "<img src=x onerror=");
    const wrong = "body :is(img, script, [onerror], [href^='javascript'])";
    assertEquals(await page.locator(wrong).count(), 0, view);
    assertEquals((await page.content()).includes(SECRET), false, view);
  }
  await open(page, port.url, "requests/1");
  await see(page, '"accessToken": "•••"');
});

testPage("needs no mouse", async (page, port) => {
  await put(port, "service", ["cart", "checkout"]);
  await upsert(port, "three");
  await open(page, port.url);
  await press(page, "/");
  await page.keyboard.type("must be");
  await see(page, "1 of 3");
  await press(page, "Enter", "Enter");
  await page.locator("#detail:focus").getByText('"three"').waitFor();
  await press(page, "Escape");
  await seeFocus(page, "requests/3");
  await page.getByLabel("Filter the rows").clear();
  await see(page, "3 of 3");
  await press(page, "Escape", "j", "j", "k", "k", "k");
  await seeFocus(page, "requests/3");

  await press(page, "2");
  await see(page, "5 of 5");
  await press(page, "j", "j", "j", "Enter");
  await see(page, "2 of 2");
  await press(page, "j", "j", "Enter");
  await see(page, "Requests that changed it");
  await press(page, "Escape");
  await seeFocus(page, "catalogue/service/checkout");
  await press(page, "Escape");
  await seeFocus(page, "catalogue/service");
  await press(page, "?");
  await page.getByRole("dialog").getByText("Next row").waitFor();
  await press(page, "Escape");
  assertEquals(await page.getByRole("dialog").count(), 0);
});

testPage("approves a run, and answers as its backend", async (page, port) => {
  const start = "/actions/release/runs";
  await open(page, port.url, "runs");
  await see(page, "No run yet");
  await port.call("POST", start, { properties: {} });
  await click(page, "Approve");
  const line = page.getByPlaceholder("Log line");
  await line.fill("Half done");
  await line.press("Enter");
  await page.getByRole("cell", { name: "Half done" }).waitFor();
  await line.fill("All done");
  await click(page, "Succeed");
  await page.getByRole("cell", { name: "SUCCESS" }).waitFor();
  await page.getByRole("cell", { name: "All done" }).waitFor();
  await port.call("POST", start, { properties: {} });
  await click(page, "Refuse");
  await see(page, "DECLINED");
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
    await see(page, "Live");
    await rows(page).getByText("/v1/missed").first().waitFor();
    assertEquals(await rows(page).count(), 1);
  } finally {
    await again.close();
  }
});

testPage("reports what does not exist", async (page, port) => {
  const cases: [view: string, text: string][] = [
    ["nowhere", "This page has no view #/nowhere"],
    ["catalogue/constructor", 'Blueprint with identifier "constructor"'],
    ["catalogue/service/gone", 'Entity with identifier "gone"'],
    ["relations/service/gone", 'Entity with identifier "gone"'],
    ["requests/99", "The request does not exist"],
  ];
  for (const [view, text] of cases) {
    await open(page, port.url, view);
    await see(page, text);
  }
  await put(port, "service", ["cart"]);
  await open(page, port.url, "catalogue/service/cart");
  await see(page, "Points to");
  await port.call("DELETE", "/blueprints/service/entities/cart");
  await see(page, 'Entity with identifier "cart"');
});

/** The texts that have too little contrast with what lies behind them. */
const FAINT = `
  const canvas = document.createElement("canvas")
    .getContext("2d", { willReadFrequently: true });
  const luminance = (colors) => {
    for (canvas.fillStyle of colors) canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map((x) => x / 255)
      .map((x) => x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
      .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722, 0][i], 0);
  };
  const grounds = (element) => element
    ? [...grounds(element.parentElement), getComputedStyle(element).backgroundColor]
    : [];
  const contrast = (element) => {
    const ground = grounds(element);
    const texts = [...ground, getComputedStyle(element).color];
    const [dark, light] = [ground, texts].map(luminance).sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  [...document.querySelectorAll("body *")].filter((element) =>
    element.checkVisibility() && !element.closest("svg, option") &&
    [...element.childNodes].some(({ data = "" }) => data.trim() !== "") &&
    contrast(element) < 4.5
  ).map((element) => element.outerHTML);
`;

testPage("is readable, light and dark, wide and narrow", async (page, port) => {
  await put(port, "service", [{ identifier: "cart", title: "x".repeat(200) }]);
  await upsert(port, "three");
  await port.call("POST", "/actions/deploy/runs", { properties: {} });
  const views = ["requests", "requests/3", "catalogue", "catalogue/service"];
  views.push("catalogue/service/cart", "relations", "runs", "failures", "x");
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    for (const view of views) {
      await open(page, port.url, view);
      assertEquals(await page.evaluate(FAINT), [], `${colorScheme} ${view}`);
    }
    const ground = "getComputedStyle(document.body).backgroundColor";
    const isDark = await page.evaluate(ground) === "rgb(15, 18, 24)";
    assertEquals(isDark, colorScheme === "dark");
  }
  await page.setViewportSize({ width: 360, height: 640 });
  for (const view of views) {
    await open(page, port.url, view);
    const excess = `[document.documentElement, document.querySelector("main")]
      .map(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)`;
    assertEquals(await page.evaluate(excess), [0, 0], view);
  }
});

testPage("stays still while requests arrive", async (page, port) => {
  await page.setViewportSize({ width: 1280, height: 160 });
  await upsert(port, 1);
  await open(page, port.url);
  await see(page, "2 of 2");
  await press(page, "j", "j");
  const places = () =>
    page.evaluate(`[...document.querySelectorAll("th, tr:last-child")]
      .map((part) => part.getBoundingClientRect())
      .map(({ x, y, width }) => [x, y, width].map((n) => Math.round(n / 4)))`);
  const before = await places();
  for (const n of [10, 30]) await port.call("GET", `/${"long".repeat(n)}`);
  await see(page, "4 of 4");
  assertEquals(await places(), before);
  await seeFocus(page, "requests/1");
  // A press ends on the row where it began, whatever arrives meanwhile.
  await rows(page).last().hover();
  await page.mouse.down();
  for (const _ of "12345") await port.call("GET", "/late");
  await page.mouse.up();
  await page.getByRole("article").waitFor();
  await see(page, "9 of 9");
});

testPage("draws relations, or lists them if many", async (page, port) => {
  await put(port, "image", ["one"]);
  const relations = { image: "one" };
  await put(port, "service", [{ identifier: "s", title: "Shop", relations }]);
  await open(page, port.url, "relations");
  const node = (hasText: string) => page.locator("svg a").filter({ hasText });
  await node("1 entity").first().waitFor();
  await open(page, port.url, "catalogue/service/s");
  await follow(page, "one");
  await page.locator("dd").getByRole("link", { name: "s" }).waitFor();
  await follow(page, "show as a graph");
  await node("Shop").click();
  await page.waitForURL("**/#/relations/service/s");
  const many = Array.from({ length: 40 }, (_, n) => `s${n}`);
  const entities = many.map((identifier) => ({ identifier, relations }));
  await put(port, "service", entities);
  await open(page, port.url, "relations/image/one");
  await page.locator("#view .row").nth(41).waitFor();
  assertEquals(await page.locator("#view svg").count(), 0);
});
