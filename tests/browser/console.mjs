// Looks at every page of the console as a person would: at three sizes, in both themes, with a keyboard, an upload
// and axe-core. Prints what it found as JSON; writes pictures where a folder is named, those
// named alone where names follow, such as study-desk-dark. Signs in where CONSOLE_USER holds name:password.
//   node console.mjs ADDRESS CHROMIUM STUDY PICTURE,PICTURE [FOLDER [NAME…]]
import fs from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [address, program, study, picture, folder, ...wanted] = process.argv.slice(2);
const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SIZES = { phone: [360, 740], desk: [1280, 900], wall: [3840, 2160] };
const PAGES = { overview: "/", studies: "/studies", study: `/studies/${study}`, analyse: "/analyse", model: "/model", users: "/users", api: "/api", "sign-in": "/sign-in" };
const THEMES = ["light", "dark"];
const found = { violations: [], overflows: [], errors: [], foreign: [], uploads: [] };

const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox"] });

async function keep(page, name) {
  if (!folder || (wanted.length && !wanted.includes(name))) return;
  await page.screenshot({ path: `${folder}/${name}.jpg`, type: "jpeg", quality: 72, fullPage: !name.startsWith("model") });
}

// a theme changes colours alone: all else is looked at in the first one
async function accuse(page, name, size, theme, rules) {
  const options = { resultTypes: ["violations"], ...(rules && { runOnly: rules }) };
  const { violations } = await page.evaluate((chosen) => axe.run(chosen), options);
  for (const { id, impact, nodes } of violations) found.violations.push(`${name} at ${size}, ${theme}: ${impact} ${id}: ${nodes[0].html.slice(0, 200)}`);
}

async function look(page, name, size) {
  const themes = wanted.length ? THEMES.filter((theme) => wanted.includes(`${name}-${size}-${theme}`)) : THEMES;
  if (!themes.length) return;
  await page.goto(address + PAGES[name]);
  if (name === "users") for (const more of (await page.locator("summary").all()).slice(-1)) await more.click();
  for (const image of await page.locator("img").all()) await image.scrollIntoViewIfNeeded();
  await page.waitForFunction(() => [...document.images].every((image) => image.complete));
  await page.evaluate(() => scrollTo(0, 0));
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (overflow > 0) found.overflows.push(`${name} at ${size}: ${overflow} pixels`);
  if (size !== "wall") await page.evaluate(axe); // what axe reads there is the same as at the desk
  for (const theme of themes) {
    await page.emulateMedia({ colorScheme: theme });
    await keep(page, `${name}-${size}-${theme}`);
    if (size !== "wall") await accuse(page, name, size, theme, theme !== themes[0] && ["color-contrast"]);
  }
}

const entrance = await browser.newContext();
const door = await entrance.newPage();
await door.goto(address);
if (process.env.CONSOLE_USER) {
  const [name, password] = process.env.CONSOLE_USER.split(":");
  await door.fill("input[name=name]", name);
  await door.fill("input[name=password]", password);
  await door.press("input[name=password]", "Enter");
  await door.waitForURL(`${address}/`);
}
const storageState = await entrance.storageState();
await entrance.close();

for (const [size, [width, height]] of Object.entries(SIZES)) {
  // the policy of the pages would forbid the test's own script
  const context = await browser.newContext({ viewport: { width, height }, bypassCSP: true, storageState });
  const page = await context.newPage();
  page.on("pageerror", (error) => found.errors.push(String(error)));
  page.on("request", (request) => { if (!request.url().startsWith(address) && !request.url().startsWith("blob:")) found.foreign.push(request.url()); });
  for (const name of Object.keys(PAGES)) await look(page, name, size);
  await context.close();
}

// an upload, with the policy of the pages in force: any violation of it is an error here
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, storageState });
const page = await context.newPage();
page.on("console", (message) => { if (message.type() === "error") found.errors.push(message.text()); });
await page.goto(`${address}/analyse`);
await page.setInputFiles("input[type=file]", picture.split(","));
await page.waitForURL(/\/analyse\/.+/);
await page.locator(".answer, .alert").first().waitFor({ timeout: 250_000 });
await page.waitForFunction(() => !document.querySelector(".image progress"), undefined, { timeout: 250_000 });
for (const part of await page.locator(".answer, .alert").all()) found.uploads.push((await part.innerText()).replaceAll("\n", " "));
const fader = page.locator("[data-fader]").first();
await fader.focus();
await fader.press("Home");
found.faded = await page.locator("[data-fade]").first().evaluate((layer) => layer.style.opacity);
await fader.press("End");
await page.waitForFunction(() => [...document.images].every((image) => image.complete));
await page.evaluate(() => document.activeElement.blur());
await keep(page, "result-desk-light");
await page.emulateMedia({ colorScheme: "dark" });
await page.setViewportSize({ width: 360, height: 740 });
await keep(page, "result-phone-dark");
await page.goto(address);
await page.keyboard.press("Tab");
found.first = await page.evaluate(() => document.activeElement.textContent);
await page.keyboard.press("Enter");
found.skipped = await page.evaluate(() => document.activeElement.id);
await browser.close();
console.log(JSON.stringify(found));
