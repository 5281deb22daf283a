// Opens report pages in a headless Chromium and holds them to what readers need.
//
// Usage: node check.mjs FOLDER PAGE...   (screenshots go to FOLDER)
// An argument `slow:PAGE` must also render in less than a second.
import { readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const [folder, ...pages] = process.argv.slice(2);
const RENDER_MILLIS_MAX = 1000;
let failures = 0;
const check = (name, holds, evidence = "") => {
  if (holds) return;
  failures += 1;
  console.error(`FAILED ${name} ${evidence}`);
};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});

for (const argument of pages) {
  const timed = argument.startsWith("slow:");
  const path = resolve(argument.replace(/^slow:/, ""));
  const name = basename(path, ".html");
  for (const [width, scheme] of [[1280, "light"], [1280, "dark"], [360, "light"], [360, "dark"]]) {
    await one(path, name, width, scheme, timed);
  }
}
await browser.close();
console.log(failures === 0 ? "report pages: all holds" : `report pages: ${failures} failures`);
process.exit(failures === 0 ? 0 : 1);

async function one(path, name, width, scheme, timed) {
  const label = `${name} ${width} ${scheme}`;
  const context = await browser.newContext({
    viewport: { width, height: width === 360 ? 740 : 900 },
    colorScheme: scheme,
    // axe is injected for the test; the page's own policy is tried first without it.
    bypassCSP: false,
  });
  const page = await context.newPage();
  const noise = [];
  const requests = [];
  page.on("console", (message) => noise.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => noise.push(`error: ${error.message}`));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(pathToFileURL(path).href, { waitUntil: "load" });
  const millis = await page.evaluate(
    () => performance.getEntriesByType("navigation")[0].loadEventEnd,
  );
  if (timed) check(`${label}: renders in < 1 s`, millis < RENDER_MILLIS_MAX, `${millis} ms`);
  if (timed && width === 1280) console.log(`${label}: loaded in ${Math.round(millis)} ms`);
  check(`${label}: console is silent`, noise.length === 0, noise.join("; "));
  const foreign = requests.filter((url) => !url.startsWith("file:") && !url.startsWith("data:"));
  check(`${label}: loads nothing`, foreign.length === 0, foreign.join(" "));
  const over = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  check(`${label}: no overflow`, over <= 0, `${over} px`);
  await tables(page, label);
  await diagram(page, label);
  await page.evaluate(() => {
    document.activeElement?.blur();
    window.scrollTo(0, 0);
  });
  await page.screenshot({ path: `${folder}/${name}-${width}-${scheme}.png`, fullPage: true });
  await axe(path, label, width, scheme);
  await context.close();
}

/** A diagram is there; a step explains itself on hover and on focus. */
async function diagram(page, label) {
  const step = page.locator("[data-lanes] .step:visible").first();
  if ((await page.locator("[data-lanes]").count()) === 0) {
    check(`${label}: a page without findings says so`, !(await page.content()).includes("is <span"));
    return;
  }
  check(`${label}: a stale value is marked`, (await page.locator(".step.stale, .holds-stale").count()) > 0);
  if ((await step.count()) === 0) return;
  const box = page.locator("[data-lanes] .explain:visible").first();
  const before = await box.textContent();
  await step.hover();
  const hovered = await box.textContent();
  check(`${label}: hover explains`, hovered !== before && /^Step 1, at /.test(hovered), hovered);
  await step.focus();
  await page.keyboard.press("ArrowDown");
  const focused = await box.textContent();
  check(`${label}: keyboard explains`, /^Step 2, at /.test(focused), focused);
}

/** The audit sorts by a click and by Enter, and filters by text. */
async function tables(page, label) {
  const table = page.locator('table[aria-label="audit"]:visible').first();
  if ((await table.count()) === 0) return;
  const column = () => table.locator("tbody tr:visible td:first-child").allTextContents();
  const head = table.locator("thead button").first();
  await head.click();
  const up = await column();
  await head.focus();
  await page.keyboard.press("Enter");
  const down = await column();
  check(`${label}: sorts`, up.join() === [...down].reverse().join(), `${up.slice(0, 3)} ${down.slice(0, 3)}`);
  const sort = await table.locator("th").first().getAttribute("aria-sort");
  check(`${label}: says how it is sorted`, sort === "descending", `${sort}`);
  const filter = page.locator(".filter input:visible").first();
  await filter.fill(up[0]);
  const left = await table.locator("tbody tr:visible").count();
  const all = await table.locator("tbody tr").count();
  check(`${label}: filters`, left >= 1 && (all < 2 || left < all), `${left} of ${all}`);
  await filter.fill("");
}

/** Contrast, labels, names: axe in a context that may inject it. */
async function axe(path, label, width, scheme) {
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: scheme,
    bypassCSP: true,
  });
  const page = await context.newPage();
  await page.goto(pathToFileURL(path).href);
  await page.evaluate(() => document.querySelectorAll("details").forEach((d, n) => (d.open = n < 8)));
  await page.evaluate(axeSource);
  const found = await page.evaluate(async () => {
    const result = await globalThis.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
    });
    return result.violations.map((v) => `${v.id}: ${v.nodes.length} × ${v.nodes[0].html.slice(0, 120)}`);
  });
  check(`${label}: axe`, found.length === 0, found.join("\n  "));
  await context.close();
}
