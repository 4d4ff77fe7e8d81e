// What people do with the console in one size and theme; each step returns what it saw.
import fs from "node:fs";
import path from "node:path";
import { ended, follow, opened, tabTo, text } from "./hands.mjs";
import { signIn } from "./sign_in.mjs";

// Drops files. What the pages show meanwhile is told by their own changes.
export async function analyse(page, { address, files }) {
  const shown = [];
  await page.exposeBinding("tellShown", (_source, entry) => { if (shown.at(-1) !== entry) shown.push(entry); });
  await page.addInitScript(watchBars);
  await page.goto(address);
  await follow(page, "Analyse a file");
  await slowDown(page, 4_000_000);
  const over = await drop(page, files);
  await page.waitForURL(/\/analyse\/.+/);
  const result = new URL(page.url()).pathname;
  await ended(page);
  const results = [];
  for (const part of await page.locator(".image").all()) results.push(await text(part));
  const classes = await page.locator(".classes dd").allInnerTexts();
  return { address: result, over, results, classes, shown: shown.map((entry) => JSON.parse(entry)) };
}

async function slowDown(page, bytesPerSecond) {
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: bytesPerSecond });
}

async function drop(page, files) {
  const contents = files.map((file) => ({ name: path.basename(file), base64: fs.readFileSync(file).toString("base64"), type: file.endsWith(".png") ? "image/png" : "" }));
  const transfer = await page.evaluateHandle((parts) => {
    const made = new DataTransfer();
    for (const { name, base64, type } of parts) made.items.add(new File([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], name, { type }));
    return made;
  }, contents);
  const form = page.locator("form.drop");
  await form.dispatchEvent("dragenter", { dataTransfer: transfer });
  const over = await form.evaluate((element) => element.classList.contains("over"));
  await form.dispatchEvent("drop", { dataTransfer: transfer });
  return over;
}

// The overview asks for itself every ten seconds, and says so where nobody answers.
export async function loseTheConsole(page, address) {
  await page.clock.install();
  await page.goto(address);
  const notice = page.locator("[data-silence]");
  const before = await notice.isVisible();
  await page.route("**/?fragment=1", (route) => route.abort());
  await looksUntil(page, notice, true);
  const words = await text(notice);
  await page.unroute("**/?fragment=1");
  await looksUntil(page, notice, false);
  return { before, words };
}

// A look that is under way sets no clock: on a busy machine the next ten seconds may be the ones that count.
async function looksUntil(page, notice, seen) {
  for (let looks = 0; looks < 1000 && (await notice.isVisible()) !== seen; looks += 1) await page.clock.runFor(10_000);
}

export async function useTheme(page) {
  const found = {};
  for (const name of ["Dark", "Light", "Auto"]) {
    await opened(page, page.getByRole("button", { name, exact: true }).click());
    await follow(page, "Studies");
    found[name] = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  }
  return found;
}

// From the overview to a faded heatmap with nothing but a keyboard.
export async function useKeyboard(page, { address, study }) {
  await page.goto(address);
  await page.keyboard.press("Tab");
  const first = await page.evaluate(() => document.activeElement.textContent);
  await page.keyboard.press("Enter");
  const skipped = await page.evaluate(() => document.activeElement.id);
  await page.reload();
  await tabTo(page, "nav a[href='/studies']");
  await page.keyboard.press("Enter");
  await page.waitForURL(`${address}/studies`);
  await tabTo(page, "#q");
  await page.keyboard.type(study.slice(-12));
  await opened(page, page.keyboard.press("Enter"));
  await tabTo(page, "tbody a");
  await page.keyboard.press("Enter");
  await page.waitForURL(/studies\/2/);
  await tabTo(page, "[data-fader]");
  await page.keyboard.press("Home");
  const faded = await page.locator("[data-fade]").first().evaluate((layer) => layer.style.opacity);
  await page.keyboard.press("End");
  return { first, skipped, faded };
}

// Forms do without a script: sign in, bring back what was given up, change the theme, search, send a file, see what
// becomes of it.
export async function useWithoutScript(page, visit) {
  const { study, files } = visit;
  await signIn(page, visit);
  await opened(page, page.getByRole("button", { name: "Try all again" }).click());
  const again = await text(page.getByRole("status"));
  await opened(page, page.getByRole("button", { name: "Dark", exact: true }).click());
  await follow(page, "Studies");
  await page.getByRole("searchbox").fill(study.slice(-12));
  await opened(page, page.getByRole("button", { name: "Search" }).click());
  const found = await text(page.locator("main > p:not([data-silence])").first());
  await page.getByRole("searchbox").fill(study.slice(0, 4));
  await opened(page, page.getByRole("button", { name: "Search" }).click());
  await opened(page, page.getByRole("button", { name: "Older" }).click());
  const older = await text(page.locator("nav.pages"));
  await page.getByRole("searchbox").fill(study.slice(-12));
  await opened(page, page.getByRole("button", { name: "Search" }).click());
  await opened(page, page.locator("tbody a").first().click());
  await page.getByText("read all of it").click();
  const report = await text(page.locator(".tree").first());
  const faders = await page.locator(".fader").first().isVisible();
  await follow(page, "Analyse a file");
  await page.locator("input[type=file]").setInputFiles(files[0]);
  await page.getByRole("button", { name: "Analyse", exact: true }).click();
  await page.waitForURL(/\/analyse\/.+/);
  await page.locator(".answer").waitFor({ timeout: 250_000 });
  const result = await text(page.locator(".answer"));
  return { again, found, older, report, faders, result };
}

// Runs in the page: tells of every change what bars and pictures are there.
function watchBars() {
  const tell = () => {
    const bars = [...document.querySelectorAll("progress")].filter((bar) => bar.checkVisibility()).map((bar) => [bar.getAttribute("aria-label"), bar.value]);
    const pictures = [...document.images].filter((image) => image.src.startsWith("blob:") || image.src.includes("preview")).map((image) => image.alt);
    if (bars.length) tellShown(JSON.stringify({ bars, pictures }));
  };
  new MutationObserver(tell).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["value", "hidden"] });
}
