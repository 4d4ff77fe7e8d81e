// What people do with the console, step by step; each step returns what it saw.
import fs from "node:fs";
import path from "node:path";

const text = async (locator) => (await locator.innerText()).replaceAll(/\s+/g, " ").trim();
const heading = (page) => text(page.locator("h1"));
const opened = (page, click) => Promise.all([page.waitForEvent("load"), click]);
const follow = (page, name) => opened(page, page.getByRole("navigation", { name: "Pages", exact: true }).getByRole("link", { name, exact: true }).click());

export async function signIn(page, { address, name, password }) {
  await page.goto(address);
  const asked = new URL(page.url()).pathname;
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill("a wrong password");
  await page.getByRole("button", { name: "Sign in" }).click();
  const refused = await text(page.getByRole("alert"));
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(`${address}/`);
  return { asked, refused, heading: await heading(page) };
}

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

// Chooses files, sees what became of them, fades the heatmap, and has them forgotten.
export async function analyseChosen(page, { address, files }) {
  await follow(page, "Analyse a file");
  const earlier = await text(page.getByRole("region", { name: "In this session" }));
  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.locator("input[type=file]").click()]);
  await chooser.setFiles(files);
  await page.waitForURL(/\/analyse\/.+/);
  await ended(page);
  const found = { earlier, answer: await text(page.locator(".answer")), alert: await text(page.getByRole("alert")) };
  found.coloured = await faded(page);
  found.heatmap = await kept(page, page.getByRole("link", { name: "Download heatmap" }));
  await page.getByRole("button", { name: "Forget these files now" }).click();
  await page.waitForURL(`${address}/analyse`);
  found.left = await page.getByRole("region", { name: "In this session" }).getByRole("link").count();
  return found;
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

async function ended(page) {
  await page.waitForFunction(() => document.querySelector(".answer, .alert") && !document.querySelector(".image progress"), undefined, { timeout: 250_000 });
}

// Every page by its link, as an administrator and as a viewer.
export async function look(page, { browser, address, study, password }) {
  const found = { headings: [], plots: [] };
  for (const name of ["Overview", "Studies", "Analyse a file", "Model", "Users"]) {
    await follow(page, name);
    found.headings.push(await heading(page));
    if (name === "Model") {
      await drawn(page);
      found.plots = await page.getByRole("region", { name: "Plots" }).locator("img").evaluateAll((plots) => plots.map((plot) => plot.naturalWidth));
    }
  }
  await opened(page, page.getByRole("link", { name: "For programs" }).click());
  found.headings.push(await heading(page));
  await opened(page, page.getByRole("link", { name: "SecondRead" }).click());
  found.overview = await text(page.locator("main"));
  const context = await browser.newContext();
  const viewer = await context.newPage();
  await viewer.goto(address);
  await viewer.getByLabel("Name").fill("vera");
  await viewer.getByLabel("Password").fill(password);
  await viewer.getByRole("button", { name: "Sign in" }).click();
  await viewer.waitForURL(`${address}/`);
  found.links = await viewer.getByRole("navigation", { name: "Pages" }).getByRole("link").allInnerTexts();
  await viewer.goto(`${address}/studies/${study}`);
  found.buttons = await viewer.locator("main button").count();
  await viewer.goto(`${address}/users`);
  found.refused = await text(viewer.locator("main"));
  found.silence = await losesTheConsole(viewer, address);
  await viewer.getByRole("button", { name: "Sign out" }).click();
  await viewer.waitForURL(`${address}/sign-in`);
  await context.close();
  return found;
}

// The overview asks for itself every ten seconds, and says so where nobody answers.
async function losesTheConsole(page, address) {
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

// Mends what the overview says needs a person, with its button.
export async function sendAgain(page, destination) {
  const needs = page.locator(".alarms li");
  const alarm = needs.filter({ hasText: destination });
  const found = { alarm: await text(alarm), background: await page.evaluate(() => getComputedStyle(document.body).backgroundColor) };
  await opened(page, alarm.getByRole("button", { name: "Send again" }).click());
  const peer = page.getByRole("region", { name: "Peers" }).locator("tbody tr").filter({ hasText: destination });
  return { ...found, said: await text(page.getByRole("status")), left: await needs.allInnerTexts(), peer: await peer.locator("td").allInnerTexts() };
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

export async function readStudies(page, { study }) {
  const found = {};
  await follow(page, "Studies");
  const rows = page.locator("tbody tr");
  found.first = [await rows.count(), await text(page.locator("nav.pages"))];
  await page.getByRole("link", { name: "Older" }).click();
  await page.waitForURL(/page=2/);
  found.second = [await rows.count(), await text(page.locator("nav.pages"))];
  await page.getByRole("link", { name: "Newer" }).click();
  await page.waitForURL(/page=1/);
  await page.getByLabel("Show").selectOption("need a person");
  await opened(page, page.getByRole("button", { name: "Search" }).click());
  found.needed = await text(page.locator("main > p:not([data-silence])").first());
  await page.getByRole("searchbox").fill("ZZZ");
  await page.getByRole("button", { name: "Search" }).click();
  found.none = await text(page.locator(".empty"));
  await page.getByRole("link", { name: "Show all" }).click();
  await page.getByRole("searchbox").fill(study.slice(-12));
  await opened(page, page.getByRole("searchbox").press("Enter"));
  found.found = await text(page.locator("main > p:not([data-silence])").first());
  found.named = [await text(rows.first())];
  await opened(page, page.getByRole("button", { name: "Show who they are" }).click());
  found.named.push(await text(rows.first()));
  await opened(page, rows.first().getByRole("link").click());
  return { ...found, ...(await readStudy(page)) };
}

async function readStudy(page) {
  const found = { state: await text(page.locator("h1 .state")) };
  found.coloured = await faded(page);
  const sides = await page.locator(".pair").first().locator("figure").evaluateAll((figures) => figures.map((figure) => figure.getBoundingClientRect().left));
  found.beside = sides[0] < sides[1];
  found.bars = await page.locator(".image").first().locator(".scores .number").allInnerTexts();
  await page.getByText("read all of it").click();
  found.report = await text(page.locator(".tree").first());
  found.deliveries = await text(page.getByRole("region", { name: "Deliveries" }));
  found.history = await text(page.getByRole("region", { name: "History" }));
  await opened(page, page.getByRole("link", { name: "Show who it is" }).click());
  found.identity = await text(page.locator(".facts").first());
  found.downloads = [await kept(page, page.getByRole("link", { name: "Download results" })), await kept(page, page.locator("td a").first())];
  await page.getByRole("button", { name: "Retry now" }).click();
  found.retried = await text(page.getByRole("status"));
  await opened(page, page.getByRole("button", { name: "Analyse again" }).click());
  found.again = await text(page.getByRole("status"));
  found.stateAgain = await text(page.locator("h1 .state"));
  return found;
}

// Waits until every picture is on the page, wherever it scrolls to.
async function drawn(page) {
  for (const image of await page.locator("img").all()) await image.scrollIntoViewIfNeeded();
  await page.waitForFunction(() => [...document.images].every((image) => image.complete && image.naturalWidth > 100));
}

// Fades the first heatmap with its slider: its colours before, without it, and with all of it again.
async function faded(page) {
  await drawn(page);
  const fader = page.locator("[data-fader]").first();
  const found = [await coloured(page)];
  for (const key of ["Home", "End"]) {
    await fader.press(key);
    found.push(await coloured(page));
  }
  return found;
}

// How many pixels of the first heatmap, as it is on the screen, have a colour.
async function coloured(page) {
  const picture = await page.locator(".stacked").first().screenshot();
  return page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    canvas.drawImage(bitmap, 0, 0);
    const { data } = canvas.getImageData(0, 0, bitmap.width, bitmap.height);
    let count = 0;
    for (let at = 0; at < data.length; at += 4) count += Math.max(data[at], data[at + 1], data[at + 2]) - Math.min(data[at], data[at + 1], data[at + 2]) > 24;
    return count;
  }, picture.toString("base64"));
}

async function kept(page, link) {
  const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
  const content = fs.readFileSync(await download.path());
  return [download.suggestedFilename(), content.subarray(0, 2).toString("latin1"), content.subarray(128, 132).toString("latin1")];
}

export async function manageUsers(page) {
  const found = {};
  await follow(page, "Users");
  const form = page.locator("form.sign-in");
  await form.getByLabel("Name").fill("nora");
  await form.getByLabel("Role").selectOption("operator");
  await form.getByLabel("Password").fill("a long enough password");
  await form.getByRole("button", { name: "Add user" }).click();
  const nora = page.getByRole("region", { name: "nora" });
  found.added = await text(nora);
  await nora.locator("summary").click();
  await nora.getByLabel("Token for").fill("grafana");
  await nora.getByRole("button", { name: "Make token" }).click();
  found.token = await text(page.getByRole("status"));
  await nora.locator("summary").click();
  await nora.getByRole("button", { name: "Revoke grafana" }).click();
  await nora.getByRole("button", { name: "Disable nora" }).click();
  found.disabled = await text(nora);
  await nora.getByRole("button", { name: "Remove nora" }).click();
  await nora.waitFor({ state: "detached" });
  found.left = await page.locator(".user h2").allInnerTexts();
  return found;
}

// From the sign-in to a faded heatmap with nothing but a keyboard.
export async function useKeyboard(page, { address, name, password, study }) {
  const unseen = []; // what has the focus and does not show it
  await page.goto(address);
  await tabTo(page, "#name", unseen);
  await page.keyboard.type(name);
  await tabTo(page, "#password", unseen);
  await page.keyboard.type(password);
  await page.keyboard.press("Enter");
  await page.waitForURL(`${address}/`);
  await page.keyboard.press("Tab");
  const first = await page.evaluate(() => document.activeElement.textContent);
  await page.keyboard.press("Enter");
  const skipped = await page.evaluate(() => document.activeElement.id);
  await page.reload();
  await tabTo(page, "nav a[href='/studies']", unseen);
  await page.keyboard.press("Enter");
  await page.waitForURL(`${address}/studies`);
  await tabTo(page, "#q", unseen);
  await page.keyboard.type(study.slice(-12));
  await opened(page, page.keyboard.press("Enter"));
  await tabTo(page, "tbody a", unseen);
  await page.keyboard.press("Enter");
  await page.waitForURL(/studies\/2/);
  await tabTo(page, "[data-fader]", unseen);
  await page.keyboard.press("Home");
  const faded = await page.locator("[data-fade]").first().evaluate((layer) => layer.style.opacity);
  await page.keyboard.press("End");
  return { first, skipped, faded, unseen };
}

async function tabTo(page, selector, unseen) {
  for (let step = 0; step < 60; step += 1) {
    await page.keyboard.press("Tab");
    const [reached, plain, name] = await page.evaluate((wanted) => {
      const { activeElement: focused, body } = document;
      return [focused.matches(wanted), focused !== body && getComputedStyle(focused).outlineStyle === "none", focused.outerHTML.slice(0, 100)];
    }, selector);
    if (plain) unseen.push(name);
    if (reached) return;
  }
  throw new Error(`the key Tab does not reach ${selector}`);
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
